"""The third step: facts -> decide -> a lane, a later hour, its media first, or a refusal.

Batch by batch, one transaction each: the store reads what is due and the facts about it, the pure `decide` says what
becomes of it, the store writes that. What was decided before a restart comes back as it is: queued messages go to
their lanes again, and a hand-off that nobody finished is in doubt.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from postdate.clock import Clock
from postdate.core.claim import is_free, is_held, run_of
from postdate.core.commands import segments_of
from postdate.core.decision import Assign, Decision, Facts, Fetch, Hold, Refuse, decide
from postdate.core.instant import MILLISECOND
from postdate.core.message import PENDING, Message, Status
from postdate.core.resources import Account, AccountStatus, Sender, Service
from postdate.flow.directory import Directory
from postdate.flow.open_connection import MOST_MEDIA
from postdate.flow.submission import with_links
from postdate.store.contract import Cursor, Dispatched, Due, Store

LEAD = 250 * MILLISECOND  # decided at most this long before it is due: lateness hides the commits

_SOME_MEDIUM = f"ME{0:032}"  # all links are of one length


@dataclass(slots=True)
class Ways:
    """Where the dispatcher hands things on; `node.py` sets them."""

    to_lane: Callable[[Message, Sender], None]
    has_room: Callable[[Sender, int], bool]
    to_media: Callable[[Message], None]
    in_doubt: Callable[[Message], Awaitable[None]]
    no_sender: Callable[[Message], Awaitable[None]]
    notice: Callable[[Cursor], None]
    media_of: Callable[[Sender], int] = lambda sender: MOST_MEDIA  # how many its connection carries in one message
    media_url: Callable[[str], str] = lambda sid: sid


class Dispatcher:
    """Takes batches of due SIDs. `run` names this run of the node: a claim of another run is nobody's."""

    def __init__(self, store: Store, directory: Directory, clock: Clock, ways: Ways, run: str) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ways = ways
        self._run = run
        self._turns: Counter[str] = Counter()  # by messaging service

    async def take(self, sids: Sequence[str]) -> None:
        """Decide about due messages and hand them on."""
        room = _Room(self._ways.has_room)
        answers = await self._store.dispatch(sids, lambda due: self._decide(due, room), self._clock.now(), LEAD)
        for answer in answers:
            if isinstance(answer.decision, Assign):
                self._ways.to_lane(answer.message, answer.decision.sender)
            else:
                await self._hand_on(answer)

    def _decide(self, due: Due, room: "_Room") -> Decision:
        """Runs on the store's thread, inside its transaction: reads the directory, changes only the turns."""
        at = self._clock.now()
        message = due.message
        service = self._directory.find(Service, message.service_sid)
        account = self._directory.find(Account, message.account_sid)
        place = (message.service_sid or "", message.recipient)
        facts = Facts(
            account_status=self._status(account),
            service=service,
            pool=self._pool(message),
            opted_out=bool(due.opted_out) and self._is_opted_out(message, due.opted_out),
            sticky=due.sticky or room.sticky.get(place),
            media_fetched=due.media >= len(message.media_urls),
            turn=self._turns[place[0]],
            segments=segments_of(message.body, has_media(message), is_smart(message, service)),
            has_room=room.has_room,
        )
        # A message is released a little before it is due, and decided as of when it is.
        decision = self._converted(decide(message, facts, max(at, message.due_at)), message, service)
        if isinstance(decision, Assign):
            room.take(decision.sender, decision.segments)
            room.sticky[place] = decision.sender.sid
            self._turns[place[0]] += 1
        return decision

    def _converted(self, decision: Decision, message: Message, service: Service | None) -> Decision:
        """Where the sender's connection carries no media, or not so many, the links go in the text, and count."""
        if not isinstance(decision, Assign) or len(message.media_urls) <= self._ways.media_of(decision.sender):
            return decision
        if service is not None and not service.mms_converter:
            return Refuse(30011)
        links = [self._ways.media_url(_SOME_MEDIUM)] * len(message.media_urls)
        return Assign(decision.sender, segments_of(with_links(message.body, links), False, is_smart(message, service)))

    def _is_opted_out(self, message: Message, scopes: Sequence[str]) -> bool:
        """A STOP to the service, to the message's own sender, or to any number of the pool it could come from."""
        addresses = [sender.address for sender in self._pool(message)]
        return any(scope in (message.service_sid, message.sender, *addresses) for scope in scopes)

    def _status(self, account: Account | None) -> AccountStatus:
        if account is None:
            return AccountStatus.CLOSED
        return AccountStatus.ACTIVE if self._directory.is_active(account) else AccountStatus.SUSPENDED

    def _pool(self, message: Message) -> Sequence[Sender]:
        if message.sender_sid is None:
            return self._directory.pool(message.service_sid or "")
        sender = self._directory.find(Sender, message.sender_sid)
        return (sender,) if sender is not None and sender.account_sid == message.account_sid else ()

    async def _hand_on(self, answer: Dispatched) -> None:
        message = answer.message
        match answer.decision:
            case Fetch():
                self._ways.to_media(message)
            case Hold(until, _):
                self._ways.notice(Cursor(until, message.sid))
            case None:
                await self._resume(message)
            case _:
                pass  # refused: the store has written it, and its callback

    async def _resume(self, message: Message) -> None:
        """Take up a message that was decided before this run of the node, or twice in it."""
        if message.status in PENDING:  # moved to a later time, or the clock was set back: not due yet
            self._ways.notice(Cursor(message.due_at, message.sid))
            return
        if message.status is Status.SENDING:
            if is_held(message.claim) or run_of(message.claim) == self._run:
                return
            if message.doubt_at is not None or not is_free(message.claim):
                await self._ways.in_doubt(message)
                return
        sender = self._directory.find(Sender, message.sender_sid)
        if sender is None:
            await self._ways.no_sender(message)
        else:
            self._ways.to_lane(message, sender)


class _Room:
    """Room in the lanes, less what this batch has taken already; and the senders it has chosen."""

    def __init__(self, has_room: Callable[[Sender, int], bool]) -> None:
        self._has_room = has_room
        self._taken: dict[str, int] = {}
        self.sticky: dict[tuple[str, str], str] = {}  # what this batch chose, by service and recipient

    def has_room(self, sender: Sender, segments: int) -> bool:
        return self._has_room(sender, self._taken.get(sender.sid, 0) + segments)

    def take(self, sender: Sender, segments: int) -> None:
        self._taken[sender.sid] = self._taken.get(sender.sid, 0) + segments


def has_media(message: Message) -> bool:
    """Say whether it goes as one message with media."""
    return bool(message.media_urls) or message.options.send_as_mms


def is_smart(message: Message, service: Service | None) -> bool:
    """Say whether look-alike characters are replaced: as the message asks, else as its service does."""
    if message.options.smart_encoded is not None:
        return message.options.smart_encoded
    return service is not None and service.smart_encoding
