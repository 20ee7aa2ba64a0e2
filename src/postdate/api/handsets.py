"""The handsets of the simulated carrier: `/postdate/v1/Handsets`.

An account sees what its own senders sent, since they are its own, and what was written to them. A name (alpha sender)
may be several accounts' at once, so there the message itself says whose it is.
"""

from dataclasses import dataclass

from postdate.api.endpoint import Answer, Request
from postdate.api.handset_view import HandsetView
from postdate.api.twilio import shown
from postdate.connectors.sandbox_handsets import Received, Shown
from postdate.core.address import InvalidAddress, SenderKind, parse_recipient
from postdate.core.errors import Rejected
from postdate.core.sender import channel_of
from postdate.flow.directory import Directory
from postdate.store.contract import Store


@dataclass(frozen=True, slots=True)
class _Account:
    """An account as a viewer of handsets."""

    sid: str
    directory: Directory
    store: Store

    async def sees(self, message: Shown) -> bool:
        sender = self.directory.sender_at(self.sid, message.sender)
        if sender is None:
            return False
        if sender.kind is SenderKind.ALPHA:
            return isinstance(message, Received) and await self.store.message(self.sid, message.sid) is not None
        return sender.created_at <= message.at  # before that it was somebody else's

    def handset(self, text: str) -> str:
        try:
            return str(parse_recipient(text))
        except InvalidAddress:
            raise Rejected(20404, f"{shown(text)} is no handset's number.") from None

    def sender(self, text: str, handset: str) -> str:
        sender = self.directory.sender_at(self.sid, text)
        if sender is None or sender.kind is SenderKind.ALPHA:
            raise Rejected(20001, f"To must be one of the account's senders that can be written to, not {shown(text)}.")
        if channel_of(sender.address) is not channel_of(handset):
            raise Rejected(20001, f"{shown(text)} is on another channel than the handset: it cannot be written to.")
        return sender.address


def _view(request: Request) -> HandsetView:
    parts = request.parts
    return HandsetView(parts.sandbox, _Account(request.account.sid, parts.directory, parts.store), parts.base_url())


async def list_all(request: Request) -> Answer:
    """Return the handsets that show something to the account, with counts."""
    return Answer(200, await _view(request).numbers(request.query))


async def fetch(request: Request) -> Answer:
    """Return what one handset shows: messages received, media included, and what was written on it."""
    return Answer(200, await _view(request).conversation(request.params["number"], request.query))


async def reply(request: Request) -> Answer:
    """Write `Body` on a handset to one of the account's senders, `To`: 201 once it is on disk."""
    return Answer(201, await _view(request).reply(request.params["number"], request.form))
