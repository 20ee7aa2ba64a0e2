"""The sandbox's phones: what each received and wrote, pictures included, and writing on them.

All of it by the API's own handlers, so that an account sees its own traffic alone. Pictures come through the console,
from the store: no page of it needs another place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from postdate.api import handsets
from postdate.console.cursors import digest_of_view
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.pictures import PICTURES, medium_response
from postdate.console.view import View
from postdate.core.address import SenderKind
from postdate.core.commands import LONGEST_BODY
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, parse_instant
from postdate.core.keywords import Keyword, keyword
from postdate.core.resources import Role, Sender
from postdate.core.sender import channel_of
from postdate.core.sid import is_sid

_PATH = "/handset"
_MEDIA = "/media/"
_LATEST = 60  # letters of the last message shown in the list
_NOTES = {Keyword.STOP: "handset.stopped", Keyword.START: "handset.started", Keyword.HELP: "handset.asked"}


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone in the list."""

    number: str
    path: str
    last_at: Instant
    received: int
    written: int
    here: bool


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture, or something else that is only linked to."""

    path: str
    content_type: str

    @property
    def is_picture(self) -> bool:
        """Say whether a browser shows it in the page."""
        return self.content_type in PICTURES


@dataclass(frozen=True, slots=True)
class Bubble:
    """A message on a phone; `keyword` is what it asks for, where it was written there."""

    written: bool
    sid: str
    sender: str  # ours: it came from there, or went there
    body: str
    media: tuple[Medium, ...]
    at: Instant
    segments: int | None
    attempt: int | None
    keyword: str


async def show(view: View) -> Response:
    """Show the phones, and the one that is chosen."""
    number = _chosen(view)
    phones = await _phones(view, number)
    if number is None and phones and not view.by_htmx:
        number = phones[0].number
        phones = [_as_here(phone, number) for phone in phones]
    try:
        chat = await view.act(handsets.fetch, {}, {"number": number}, "GET") if number is not None else None
    except Rejected as error:
        view.trouble, number, chat = view.trouble or error, None, None
    bubbles = [_bubble(one) for one in chat.json["messages"]] if chat is not None else []
    meta = chat.json["meta"] if chat is not None else {}
    digest = digest_of_view((view.hides, phones, bubbles))
    page = view.query.number("Page") or 0
    values: dict[str, Any] = {
        "phones": phones,
        "number": chat.json["number"] if chat is not None else None,
        "bubbles": bubbles,
        "senders": _senders(view, chat.json["number"], bubbles) if chat is not None else [],
        "earlier": _address(number, Page=str(page + 1)) if number and meta.get("next_page_url") else "",
        "later": _address(number, Page=str(page - 1)) if number and page else "",
        "live": _address(number, Seen=digest) if not page else "",
        "here": _address(number),
        "longest": LONGEST_BODY,
    }
    if not view.by_htmx or view.http.method != "GET":
        return view.render("handset.html", **values)
    if view.query.text("Seen") == digest:
        return Response(status_code=204)
    return view.fragment("handset.html", "phones", **values)


def _chosen(view: View) -> str | None:
    text = view.form.text("Number") or view.query.text("Number")
    return text.strip() if text is not None and text.strip() else None


def _address(number: str | None, **more: str) -> str:
    query = urlencode({**({"Number": number} if number is not None else {}), **more})
    return f"{_PATH}?{query}" if query else _PATH


async def _phones(view: View, number: str | None) -> list[Phone]:
    answer = await view.act(handsets.list_all, {}, {}, "GET")
    return [
        Phone(
            number=one["number"],
            path=_address(one["number"]),
            last_at=parse_instant(one["last_at"]),
            received=one["received"],
            written=one["written"],
            here=one["number"] == number,
        )
        for one in answer.json["handsets"]
    ]


def _as_here(phone: Phone, number: str) -> Phone:
    return Phone(phone.number, phone.path, phone.last_at, phone.received, phone.written, phone.number == number)


def _bubble(one: dict[str, Any]) -> Bubble:
    written = one["direction"] == "written"
    asks = keyword(one["body"]) if written else None
    return Bubble(
        written=written,
        sid=one["sid"] or "",
        sender=one["to"] if written else one["from"],
        body=one["body"],
        media=tuple(_medium(medium) for medium in one["media"]),
        at=parse_instant(one["at"]),
        segments=one["num_segments"],
        attempt=one["attempt"],
        keyword=asks.lower() if asks is not None else "",
    )


def _medium(one: dict[str, Any]) -> Medium:
    sid = one["url"].rpartition(_MEDIA)[2]
    return Medium(f"{_PATH}/media/{quote(sid, safe='')}", one["content_type"])


def _senders(view: View, number: str, bubbles: Sequence[Bubble]) -> list[Sender]:
    """Return the senders that this phone can write to, the one that it last heard of first."""
    order = {bubble.sender: place for place, bubble in enumerate(bubbles)}
    able = [
        one
        for one in view.parts.directory.every(Sender)
        if one.account_sid == view.account.sid
        and one.kind is not SenderKind.ALPHA
        and channel_of(one.address) is channel_of(number)
    ]
    return sorted(able, key=lambda one: order.get(one.address, -1), reverse=True)


async def write(view: View) -> Response:
    """Write on a phone to one of the account's senders."""
    number, body = view.form.text("Number") or "", (view.form.one("Body") or "").replace("\r\n", "\n")
    view.detail = number
    await view.act(handsets.reply, {"To": view.form.text("To"), "Body": body}, {"number": number})
    asks = keyword(body)
    return view.go(_address(number), _NOTES[asks] if asks is not None else "")


async def medium(view: View) -> Response:
    """Show a picture that a phone received."""
    sid = view.params["sid"]
    found = await view.parts.store.medium(sid) if is_sid(sid, "ME") else None
    if found is None or found[0].account_sid != view.account.sid:
        return view.error(404)
    return medium_response(*found)


SCREEN = Screen(
    "handset",
    pages=(Page(_PATH, show), Page(f"{_PATH}/media/{{sid}}", medium)),
    actions=(Action("write", _PATH, write, Role.OPERATOR, back=show),),
    nav=Nav("handset", "tools"),
)
