"""Writing a message: to one or several, now or at a time, with a look at what will be sent while it is written.

Each recipient gets a message of his own, by the API's create. The form carries a word of its own, so that a form sent
twice sends nothing twice: a message is the same if its words, its recipient and the form are.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from postdate.api import messages
from postdate.api.twilio import Form
from postdate.console.acting import Values
from postdate.console.chosen_time import ChosenTime, read_chosen
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.spans import roughly
from postdate.console.text_look import TextLook, look_at
from postdate.console.times import local, zone_names
from postdate.console.view import View
from postdate.console.windows import WindowInWords, in_words
from postdate.core.commands import LONGEST_BODY
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, Instant, format_iso_exact
from postdate.core.message import Message
from postdate.core.resources import Role, Sender, Service
from postdate.core.sid import is_sid

MOST_RECIPIENTS = 50
_SEPARATORS = re.compile(r"[\n,;]+")
_FIELDS = ("From", "Body", "MediaUrl", "SmartEncoded", "When", "Day", "Time", "Zone", "Turn", "Once")


@dataclass(frozen=True, slots=True)
class Try:
    """What became of one recipient: his message as the API answered, or why there is none."""

    recipient: str
    sid: str = ""
    error: Rejected | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent if the form were sent now."""

    text: TextLook
    over: int  # characters more than a body may have
    media: int
    recipients: int
    smart: bool
    service: Service | None
    later: bool
    chosen: ChosenTime | None
    window: WindowInWords
    ahead: str  # in how much time
    fits: bool  # the time is within the window

    @property
    def counted(self) -> int:
        """Return how many segments one message counts as: with media it is one."""
        return 1 if self.media else len(self.text.parts)


async def show(view: View) -> Response:
    """Show the form, and what was sent before."""
    return await _page(view, ())


async def _page(view: View, tries: Sequence[Try]) -> Response:
    day = local(Instant(view.now + DAY), view.zone)
    values: dict[str, Any] = {
        "services": [one for one in view.parts.directory.every(Service) if one.account_sid == view.account.sid],
        "senders": _senders(view),
        "preview": _preview(view),
        "tries": tries,
        "sent": await _sent(view),
        "most": MOST_RECIPIENTS,
        "longest": LONGEST_BODY,
        "zones": [(name, name) for name in _zones(view)],
        "tomorrow": f"{day:%Y-%m-%d}",
        "once": view.given("Once", secrets.token_urlsafe(12)),
    }
    return view.render("compose.html", **values)


def _zones(view: View) -> list[str]:
    names = list(zone_names())
    return names if view.zone.key in names else [view.zone.key, *names]


def _senders(view: View) -> list[Sender]:
    return [one for one in view.parts.directory.every(Sender) if one.account_sid == view.account.sid]


async def _sent(view: View) -> list[Message]:
    """Return the messages that the address names, as they are now: those that the form just made."""
    store, found = view.parts.store, []
    for sid in view.query.all("Sent")[:MOST_RECIPIENTS]:
        if is_sid(sid, "SM") or is_sid(sid, "MM"):
            found.append(await store.message(view.account.sid, sid))
    return [message for message in found if message is not None]


# -- while it is written -----------------------------------------------------------------------------------------------


async def look(view: View) -> Response:
    """Show what would be sent: for htmx, while somebody writes."""
    return view.fragment("compose.html", "look", preview=_preview(view), longest=LONGEST_BODY)


def _preview(view: View) -> Preview:
    form = view.form
    service = _service(view)
    smart = _is_smart(view, service)
    window = view.parts.ingest.window_of(service)
    later = form.one("When") == "later"
    chosen = read_chosen(view) if later else None
    at = chosen.at if chosen is not None else None
    body = _body(view)
    return Preview(
        text=look_at(body, smart),
        over=max(len(body) - LONGEST_BODY, 0),
        media=len(_lines(form.one("MediaUrl") or "")),
        recipients=len(_numbers(view)),
        smart=smart,
        service=service,
        later=later,
        chosen=chosen,
        window=in_words(view, str(window)),
        ahead=roughly(view.t, at - view.now) if at is not None and at > view.now else "",
        fits=at is not None and window.contains(at, view.now),
    )


def _service(view: View) -> Service | None:
    """Return the messaging service that is chosen; before anything is, the one that the form begins with."""
    chosen = view.form.one("From") if "From" in view.form else view.query.text("From")
    if chosen is None:
        return next((one for one in view.parts.directory.every(Service) if one.account_sid == view.account.sid), None)
    service = view.parts.directory.find(Service, chosen)
    return service if service is not None and service.account_sid == view.account.sid else None


def _is_smart(view: View, service: Service | None) -> bool:
    given = view.form.text("SmartEncoded")
    return given == "true" if given is not None else service is not None and service.smart_encoding


def _body(view: View) -> str:
    # A browser sends a line's end as two characters, and each would count.
    return (view.form.one("Body") or "").replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    """Return what stands on lines of its own."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _numbers(view: View) -> list[str]:
    """Return the recipients as they were written, each once."""
    return list(dict.fromkeys(_lines(_SEPARATORS.sub("\n", view.form.one("To") or ""))))


# -- sending -----------------------------------------------------------------------------------------------------------


async def send(view: View) -> Response:
    """Send to each recipient; say of each what became of it."""
    recipients = _recipients(view)
    wanted = _wanted(view)
    tries = [await _try(view, recipient, wanted) for recipient in recipients]
    made, failed = [one for one in tries if one.sid], [one for one in tries if one.error is not None]
    view.about = made[0].sid if len(made) == 1 else ""
    view.detail = f"{len(made)}/{len(tries)}"
    if not failed:
        return view.go(f"/compose?{urlencode([('Sent', one.sid) for one in made])}", "compose.done", count=len(made))
    first = failed[0].error
    if len(tries) == 1 and first is not None:
        raise first
    # What is left to do stays in the form.
    kept = {name: view.form.all(name) for name in _FIELDS if name in view.form}
    view.form = Form({**kept, "To": ["\n".join(one.recipient for one in failed)]})
    return await _page(view, tries)


def _recipients(view: View) -> list[str]:
    recipients = _numbers(view)
    if not recipients:
        raise Rejected(21604)
    if len(recipients) > MOST_RECIPIENTS:
        raise Rejected(20001, view.t("compose.too_many", most=MOST_RECIPIENTS, number=len(recipients)))
    return recipients


def _wanted(view: View) -> dict[str, str | list[str] | None]:
    """Return what the API is asked for, but for the recipient; raise Rejected where the time says nothing."""
    form = view.form
    wanted: dict[str, str | list[str] | None] = {
        "From": form.text("From"),
        "Body": _body(view),
        "MediaUrl": _lines(form.one("MediaUrl") or "") or None,
        "SmartEncoded": form.text("SmartEncoded"),
    }
    if form.one("When") == "later":
        if not is_sid(form.text("From") or "", "MG"):
            raise Rejected(35118)  # a node may be set to send such a message at once: here a time was chosen
        wanted |= {"ScheduleType": "fixed", "SendAt": format_iso_exact(read_chosen(view).needed())}
    return wanted


async def _try(view: View, recipient: str, wanted: Values) -> Try:
    try:
        answer = await view.act(messages.create, {"To": recipient, **wanted}, key=_key(view, recipient, wanted))
    except Rejected as error:
        return Try(recipient, error=error)
    return Try(recipient, answer.json["sid"])


def _key(view: View, recipient: str, wanted: Values) -> str:
    once = view.form.text("Once")
    if once is None:
        return ""
    return hashlib.sha256(repr((once, recipient, sorted(wanted.items()))).encode("utf-8", "replace")).hexdigest()


SCREEN = Screen(
    "compose",
    pages=(Page("/compose", show, Role.OPERATOR),),
    actions=(
        Action("send", "/compose", send, Role.OPERATOR, back=show),
        Action("look", "/compose/look", look, Role.OPERATOR, audited=False),
    ),
    nav=Nav("compose"),
)
