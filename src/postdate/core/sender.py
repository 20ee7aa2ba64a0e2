"""Which sender of a pool a message leaves with: asked once, at `SendAt`.

Order: the sticky sender while it is still right; then by kind (short code, alpha, long code); within a kind the same
country as the recipient, else a US number, else any; within those the same area code where both are +1; the rest
evenly, by a turn that the caller counts. WhatsApp and other channels take senders of their own channel only.
"""

from collections.abc import Sequence

from postdate.core.address import Channel, SenderKind, area_code, country_code
from postdate.core.resources import Sender

# Alpha senders are not carried in the US and Canada: the networks there replace or drop them.
_NO_ALPHA = frozenset({"US", "CA"})


def channel_of(address: str) -> Channel:
    """Return the channel that an address is on."""
    return Channel(address.partition(":")[0]) if ":" in address else Channel.SMS


def can_send(sender: Sender, recipient: str, country: str, has_media: bool) -> bool:
    """Say whether this sender can reach this recipient with this kind of message."""
    channel = channel_of(recipient)
    if sender.kind is SenderKind.CHANNEL:
        return channel_of(sender.address) is channel
    if channel is not Channel.SMS:
        return False
    match sender.kind:
        case SenderKind.SHORT_CODE:
            return sender.country == country and (sender.mms or not has_media)
        case SenderKind.ALPHA:
            return not has_media and country not in _NO_ALPHA and sender.country in ("", country)
        case _:
            return sender.mms or not has_media


_KINDS = (SenderKind.CHANNEL, SenderKind.SHORT_CODE, SenderKind.ALPHA, SenderKind.PHONE_NUMBER)


def number_of(address: str) -> str:
    """Return the number in an address, without its channel."""
    return address.rpartition(":")[2]


def choose_sender(
    pool: Sequence[Sender], recipient: str, has_media: bool, sticky: str | None, geomatch: bool, turn: int
) -> Sender | None:
    """Return the sender for `recipient`, or None where no sender of the pool can reach it.

    `sticky` is the SID of the sender this recipient had last, `geomatch` asks for the same area code, and `turn` is
    any number that grows by one from message to message.
    """
    country = country_code(number_of(recipient))
    able = [s for s in pool if can_send(s, recipient, country, has_media)]
    if sticky is not None:
        for sender in able:
            if sender.sid == sticky and _still_right(sender, able, country):
                return sender
    for kind in _KINDS:
        of_kind = [s for s in able if s.kind is kind]
        if of_kind:
            narrowed = _narrow(of_kind, recipient, country, geomatch)
            return narrowed[turn % len(narrowed)]
    return None


def _still_right(sender: Sender, able: Sequence[Sender], country: str) -> bool:
    """A sticky sender from abroad gives way once the pool has one of the recipient's own country."""
    return sender.country in ("", country) or all(s.country != country for s in able)


def _narrow(senders: Sequence[Sender], recipient: str, country: str, geomatch: bool) -> Sequence[Sender]:
    near = [s for s in senders if s.country == country] or [s for s in senders if s.country == "US"] or senders
    if len(near) == 1:
        return near
    area = area_code(number_of(recipient)) if geomatch else None
    return [s for s in near if area is not None and s.area_code == area] or near
