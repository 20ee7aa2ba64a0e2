"""What becomes of a message that is due: the heart, and pure.

`decide` changes nothing and asks nobody; every line of it is a row of a test table. The rate is not asked here: a rate
is state with one owner, the sender's lane.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.core.resources import AccountStatus, Sender, Service
from postdate.core.sender import choose_sender


class Assign(msgspec.Struct, frozen=True):
    """It goes from this sender, in this many segments."""

    sender: Sender
    segments: int


@dataclass(frozen=True, slots=True)
class Hold:
    """It is due, and not allowed yet."""

    until: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Its media are to be fetched first; then it is decided again."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is never sent; `code` is the customer's error code."""

    code: int


Decision = Assign | Hold | Fetch | Refuse


class Facts(msgspec.Struct, frozen=True):
    """What the store and the configuration know about one due message, read in the transaction that decides."""

    account_status: AccountStatus
    service: Service | None
    pool: Sequence[Sender] = ()
    opted_out: bool = False
    sticky: str | None = None
    media_fetched: bool = False
    turn: int = 0
    segments: int = 0
    has_room: Callable[[Sender, int], bool] = lambda sender, segments: True


def decide(message: Message, facts: Facts, at: Instant) -> Decision:
    """Say what becomes of `message` at `at`: a sender, a later hour, its media first, or a refusal."""
    if message.expires_at <= at:
        return Refuse(30036)
    if facts.account_status is not AccountStatus.ACTIVE:
        return Refuse(30002)
    if facts.opted_out:
        return Refuse(21610)
    if message.media_urls and not facts.media_fetched:
        return Fetch()
    return _assign(message, facts)


def _assign(message: Message, facts: Facts) -> Decision:
    has_media = bool(message.media_urls) or message.options.send_as_mms
    if not facts.pool:
        return Refuse(21704 if message.sender_sid is None else 21606)
    sender = _choose(message, facts, facts.pool, has_media)
    if sender is None:
        return Refuse(21703 if message.sender_sid is None else 21606)
    if facts.has_room(sender, facts.segments):
        return Assign(sender, facts.segments)
    with_room = [s for s in facts.pool if facts.has_room(s, facts.segments)]
    sender = _choose(message, facts, with_room, has_media)
    return Refuse(30001) if sender is None else Assign(sender, facts.segments)


def _choose(message: Message, facts: Facts, pool: Sequence[Sender], has_media: bool) -> Sender | None:
    geomatch = facts.service.area_code_geomatch if facts.service else False
    sticky = facts.sticky if facts.service and facts.service.sticky_sender else None
    return choose_sender(pool, message.recipient, has_media, sticky, geomatch, facts.turn)
