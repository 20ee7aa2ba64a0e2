"""What carriers tell us: receipts move statuses, inbound messages are kept and told on, and a STOP is obeyed.

`take` returns when the event is on disk, so that it is acknowledged to the carrier only then.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

import structlog

from postdate.clock import Clock
from postdate.connectors.contract import CarrierEvent, Inbound, LateAnswer, Receipt
from postdate.core.address import bucket_of
from postdate.core.commands import segments_of
from postdate.core.instant import Instant
from postdate.core.message import Direction, Event, Message, Options, Status
from postdate.core.outcome import Accepted, Refused, Unreachable
from postdate.core.resources import Sender
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.flow.directory import Directory
from postdate.flow.group_commit import GroupCommit
from postdate.store.contract import Cursor, ReceiptNews, Source, Store, opt_outs_of

_log = structlog.get_logger("postdate.receipts")

MOST_IN_A_COMMIT = 1_024
MOST_PARTS = 255


class Receipts:
    """Takes carrier events of all connections."""

    def __init__(self, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self.notice: Callable[[Cursor], None] = lambda cursor: None  # told what goes again
        self.caught_up: Callable[[], Awaitable[None]] = _at_once  # returns when all outcomes so far are on disk
        self._news: GroupCommit[ReceiptNews, None] = GroupCommit(self._apply, MOST_IN_A_COMMIT)

    @property
    def idle(self) -> bool:
        """Say whether nothing is being applied."""
        return self._news.idle

    def take(self, connection: str, event: CarrierEvent) -> Awaitable[None]:
        """Return what can be awaited until the event is on disk."""
        match event:
            case Receipt(carrier_ref, moved, error_code, sid):
                return self._news.add(ReceiptNews(connection, carrier_ref, moved, error_code, sid))
            case LateAnswer(sid, outcome):
                return self._take_late(_late(connection, sid, outcome))
            case Inbound():
                return self._take_inbound(connection, event)
            case _:
                assert_never(event)

    async def settled(self) -> None:
        """Return when nothing is being applied."""
        await self._news.settled()

    async def _apply(self, news: Sequence[ReceiptNews]) -> Sequence[None]:
        for cursor in await self._store.apply_receipts(news, self._clock.now()):
            self.notice(cursor)
        return [None] * len(news)

    async def _take_late(self, news: ReceiptNews) -> None:
        # It ends a doubt, which may not be on disk yet: a carrier may answer in the moment in which it is given up.
        await self.caught_up()
        await self._news.add(news)

    async def _take_inbound(self, connection: str, event: Inbound) -> None:
        sender = self._directory.owner_of(event.recipient)
        if sender is None:
            # Without the number: it is somebody's. The connection is where to look for how it writes numbers.
            _log.warning("a message came in for a number that nobody here has", connection=connection)
            return
        at = self._clock.now()
        webhook = self._directory.webhook_of(sender)
        message = _inbound(event, sender, webhook.url if webhook is not None else None, at)
        part = (
            event.part if event.part is not None and 1 <= event.part.index <= event.part.total <= MOST_PARTS else None
        )
        joined = (part.ref, part.total, part.index) if part is not None and part.total > 1 else (0, 1, 1)
        changes = opt_outs_of(message) if joined[1] == 1 else []  # of a long message when it is joined
        await self._store.add_inbound([message], changes, at, [Source(connection, event.carrier_ref, *joined)])


async def _at_once() -> None:
    pass


def _late(connection: str, sid: str, outcome: Accepted | Refused | Unreachable) -> ReceiptNews:
    match outcome:
        case Accepted(carrier_ref):
            return ReceiptNews(connection, carrier_ref, Event.ACCEPT, None, sid)
        case Refused(code, _):
            return ReceiptNews(connection, "", Event.REFUSE, code, sid)
        case Unreachable():
            return ReceiptNews(connection, "", Event.RETURN, None, sid)
        case _:
            assert_never(outcome)


def _inbound(event: Inbound, sender: Sender, url: str | None, at: Instant) -> Message:
    bucket = bucket_of(sender.account_sid, event.sender)
    media_urls = (*(a.url for a in event.attachments), *event.media_urls)
    return Message(
        sid=new_sid("MM" if media_urls else "SM", at, bucket, secrets.token_bytes(CHANCE_BYTES)),
        bucket=bucket,
        account_sid=sender.account_sid,
        service_sid=sender.service_sid,
        direction=Direction.INBOUND,
        status=Status.RECEIVED,
        sender=event.sender,
        sender_sid=sender.sid,
        recipient=sender.address,
        body=event.body,
        media_urls=media_urls,
        num_segments=segments_of(event.body, bool(media_urls), smart_encoded=False),
        send_at=None,
        due_at=at,
        expires_at=at,
        callback_url=url,
        attempts=0,
        claim=None,
        doubt_at=None,
        carrier_ref=event.carrier_ref,
        error_code=None,
        created_at=at,
        updated_at=at,
        sent_at=at,
        listed_at=at,
        options=Options(),
    )
