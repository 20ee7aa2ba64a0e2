"""What the simulated carrier's handsets show, as JSON: the same for a node and for the SMSC; only the viewer differs.

A handset is a number that something was sent to. Its page is its conversation: what it received, and what was written
back on it. Nothing here knows accounts or a web framework.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from postdate.api.paging import DEFAULT_SIZE, LARGEST_SIZE
from postdate.api.twilio import Form, shown
from postdate.connectors.sandbox import Sandbox
from postdate.connectors.sandbox_handsets import Received, Shown
from postdate.core.commands import LONGEST_BODY
from postdate.core.errors import Rejected
from postdate.core.instant import format_iso

PATH = "/postdate/v1/Handsets"


class Viewer(Protocol):
    """Who looks: what is shown to him, and whom a handset may write to for him."""

    async def sees(self, message: Shown) -> bool:
        """Say whether a message is his to see."""

    def handset(self, text: str) -> str:
        """Return a handset's number as the carrier knows it; raise Rejected where it is none."""

    def sender(self, text: str, handset: str) -> str:
        """Return the sender that a handset may write to; raise Rejected where it may not."""


@dataclass(frozen=True, slots=True)
class HandsetView:
    """The handsets of one simulated carrier as one viewer sees them; links begin with `base_url`."""

    sandbox: Sandbox
    viewer: Viewer
    base_url: str

    async def numbers(self, query: Form) -> dict[str, Any]:
        """Return a page of the handsets that show something, the one with the latest message first."""
        handsets: list[tuple[str, Sequence[Shown]]] = []
        for number in self.sandbox.handsets():
            if seen := await self._seen(number):
                handsets.append((number, seen))
        handsets.sort(key=lambda handset: handset[1][-1].at, reverse=True)
        page = _Page.read(query, len(handsets))
        rows = [self._number_json(number, seen) for number, seen in handsets[page.newest : page.oldest]]
        return {"handsets": rows, "meta": page.meta("handsets", f"{self.base_url}{PATH}")}

    async def conversation(self, number: str, query: Form) -> dict[str, Any]:
        """Return a page of what one handset shows: the first has the latest messages, each in order of time."""
        number = self.viewer.handset(number)
        seen = await self._seen(number)
        page = _Page.read(query, len(seen))
        rows = [message_json(message) for message in seen[len(seen) - page.oldest : len(seen) - page.newest]]
        return {
            **self._number_json(number, seen),
            "messages": rows,
            "meta": page.meta("messages", self._url(number)),
        }

    async def reply(self, number: str, form: Form) -> dict[str, Any]:
        """Write `Body` on a handset to the sender `To`; return the message once it is taken."""
        number = self.viewer.handset(number)
        to, body = form.text("To"), form.text("Body")
        if to is None:
            raise Rejected(20001, "Say To: the sender that the handset writes to.")
        if body is None:
            raise Rejected(20001, "Say Body: what is written on the handset.")
        if len(body) > LONGEST_BODY:
            raise Rejected(20001, f"A Body has at most {LONGEST_BODY} characters, not {len(body)}.")
        return message_json(await self.sandbox.reply(number, self.viewer.sender(to, number), body))

    async def _seen(self, number: str) -> list[Shown]:
        return [message for message in self.sandbox.conversation(number) if await self.viewer.sees(message)]

    def _number_json(self, number: str, seen: Sequence[Shown]) -> dict[str, Any]:
        received = sum(isinstance(message, Received) for message in seen)
        return {
            "number": number,
            "received": received,
            "written": len(seen) - received,
            "last_at": format_iso(seen[-1].at) if seen else None,
            "url": self._url(number),
        }

    def _url(self, number: str) -> str:
        return f"{self.base_url}{PATH}/{quote(number, safe='+:')}"


def message_json(message: Shown) -> dict[str, Any]:
    """Return one message of a conversation; what was written on the handset has no SID there."""
    media = [{"content_type": medium.content_type, "url": medium.url} for medium in message.attachments]
    found = {"body": message.body, "media": media, "at": format_iso(message.at)}
    if isinstance(message, Received):
        return {
            "direction": "received",
            "sid": message.sid,
            "from": message.sender,
            "to": message.recipient,
            **found,
            "num_segments": message.segments,
            "attempt": message.attempt,
        }
    return {
        "direction": "written",
        "sid": None,
        "from": message.handset,
        "to": message.sender,
        **found,
        "num_segments": None,
        "attempt": None,
    }


def read_number(text: str) -> str:
    """Return the address of a handset that is known by its letters alone; raise Rejected where it is none."""
    if not (0 < len(text) <= 20 and text.isascii() and text.isprintable() and "/" not in text):
        raise Rejected(20404, f"{shown(text)} is no handset's number.")
    return text


@dataclass(frozen=True, slots=True)
class _Page:
    """Which rows of a list are asked for, counted from the newest."""

    size: int
    number: int
    total: int

    @classmethod
    def read(cls, query: Form, total: int) -> "_Page":
        size = min(max(query.number("PageSize") or DEFAULT_SIZE, 1), LARGEST_SIZE)
        return cls(size, query.number("Page") or 0, total)

    @property
    def newest(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def oldest(self) -> int:
        return min(self.newest + self.size, self.total)

    def meta(self, key: str, url: str) -> Mapping[str, Any]:
        def link(number: int) -> str:
            return f"{url}?{urlencode({'PageSize': self.size, 'Page': number})}"

        return {
            "key": key,
            "page": self.number,
            "page_size": self.size,
            "url": link(self.number),
            "first_page_url": link(0),
            "next_page_url": link(self.number + 1) if self.oldest < self.total else None,
            "previous_page_url": link(self.number - 1) if self.number else None,
        }
