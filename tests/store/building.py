"""What the tests of the store are built from: messages by number, resources, decisions, and moves by public methods.

The same number gives the same message and SIDs grow with it, so that a test names its messages 1, 2, 3. `bring` puts a
message into any status the way a node would. Times grow from START; whatever is due is due at SEND_AT.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from postdate.core.address import SenderKind, bucket_of
from postdate.core.decision import Assign, Decision, Refuse
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Direction, Event, Message, Options, Status
from postdate.core.resources import Application, Sender, Service
from postdate.core.sid import new_sid
from postdate.store.contract import (
    BEGINNING,
    AddResult,
    CallbackRow,
    Cursor,
    Decide,
    Failed,
    Handed,
    MediaRow,
    MessageQuery,
    New,
    ReceiptNews,
    Returned,
    Store,
)
from postdate.store.sqlite import SqliteStore

Told = Callable[[Sequence[CallbackRow]], None]
Made = Callable[[Path, Told], Store]  # in a folder, with what is given the calls that are on disk

STORES: Mapping[str, Made] = MappingProxyType(
    {"sqlite": lambda folder, on_news: SqliteStore(folder / "postdate.db", on_news)}
)

START = Instant(1_900_000_000_000_000)
SEND_AT = Instant(START + HOUR)
FAR = Instant(2**62)
NO_CAP = 1_000_000

ACCOUNT = "AC" + "a" * 32
OTHER_ACCOUNT = "AC" + "b" * 32
SERVICE = "MG" + "c" * 32
RECIPIENT = "+14155550100"
RUN = "run-1"
OTHER_RUN = "run-2"
CONNECTION = "sandbox"

RECEIPTS = (Event.DELIVER, Event.UNDELIVER, Event.READ)
# Receiving is finished before an inbound message is added: no method of the store does it.
EVENTS = tuple(event for event in Event if event is not Event.RECEIVE)

_ROUTES: Mapping[Status, tuple[Event, ...]] = MappingProxyType(
    {
        Status.QUEUED: (Event.ASSIGN,),
        Status.SENDING: (Event.ASSIGN, Event.CLAIM),
        Status.SENT: (Event.ASSIGN, Event.CLAIM, Event.ACCEPT),
        Status.DELIVERED: (Event.ASSIGN, Event.CLAIM, Event.ACCEPT, Event.DELIVER),
        Status.UNDELIVERED: (Event.ASSIGN, Event.CLAIM, Event.ACCEPT, Event.UNDELIVER),
        Status.READ: (Event.ASSIGN, Event.CLAIM, Event.ACCEPT, Event.DELIVER, Event.READ),
        Status.FAILED: (Event.REFUSE,),
        Status.CANCELED: (Event.CANCEL,),
    }
)


def later(seconds: float) -> Instant:
    """Return an instant that many seconds after everything is due."""
    return Instant(SEND_AT + int(seconds * SECOND))


def sid_of(number: int, prefix: str = "SM", account_sid: str = ACCOUNT, recipient: str = RECIPIENT) -> str:
    """Return the SID of a number."""
    return new_sid(prefix, START, bucket_of(account_sid, recipient), number.to_bytes(9, "big"))


def a_message(number: int = 1, **changes: object) -> Message:
    """Return a message scheduled for SEND_AT through a service, with `changes`."""
    message = Message(
        sid=sid_of(number),
        bucket=bucket_of(ACCOUNT, RECIPIENT),
        account_sid=ACCOUNT,
        service_sid=SERVICE,
        direction=Direction.OUTBOUND_API,
        status=Status.SCHEDULED,
        sender=None,
        sender_sid=None,
        recipient=RECIPIENT,
        body=f"Message {number}",
        media_urls=(),
        num_segments=0,
        send_at=SEND_AT,
        due_at=SEND_AT,
        expires_at=Instant(SEND_AT + 10 * HOUR),
        callback_url=f"https://example.com/{number}",
        attempts=0,
        claim=None,
        doubt_at=None,
        carrier_ref=None,
        error_code=None,
        created_at=START,
        updated_at=START,
        sent_at=None,
        listed_at=START,
        options=Options(),
    )
    return msgspec.structs.replace(message, **changes)


def an_inbound_message(number: int = 1, **changes: object) -> Message:
    """Return a received message, with `changes`."""
    received: dict[str, object] = {"direction": Direction.INBOUND, "status": Status.RECEIVED, "callback_url": None}
    return a_message(number, **(received | changes))


def a_sender(number: int = 1, **changes: object) -> Sender:
    """Return a phone number of the account in its service's pool, with `changes`."""
    sender = Sender(
        sid=sid_of(number, "PN"),
        account_sid=ACCOUNT,
        kind=SenderKind.PHONE_NUMBER,
        address=f"+1415555{number:04}",
        friendly_name=f"Number {number}",
        country="US",
        service_sid=SERVICE,
        created_at=START,
        updated_at=START,
    )
    return msgspec.structs.replace(sender, **changes)


def a_service(**changes: object) -> Service:
    """Return the messaging service that messages here are sent through, with `changes`."""
    service = Service(sid=SERVICE, account_sid=ACCOUNT, friendly_name="Reminders", created_at=START, updated_at=START)
    return msgspec.structs.replace(service, **changes)


def an_application(**changes: object) -> Application:
    """Return an application of the account, with `changes`."""
    application = Application(
        sid=sid_of(1, "AP"), account_sid=ACCOUNT, friendly_name="Calls", created_at=START, updated_at=START
    )
    return msgspec.structs.replace(application, **changes)


def a_medium(number: int = 1, message_number: int = 1, **changes: object) -> MediaRow:
    """Return a stored picture of a message, with `changes`."""
    row = MediaRow(
        sid=sid_of(number, "ME"),
        message_sid=sid_of(message_number),
        account_sid=ACCOUNT,
        content_type="image/png",
        digest=f"digest-{number}",
        size=3,
        created_at=START,
    )
    return msgspec.structs.replace(row, **changes)


def new(message: Message, cap: int = NO_CAP, key: str | None = None, fingerprint: str = "") -> New:
    """Return the order to add a message."""
    return New(message, cap, key, fingerprint)


def always(decision: Decision) -> Decide:
    """Return what decides the same for every message."""
    return lambda due: decision


def assign(sender: Sender | None = None, segments: int = 1) -> Decide:
    """Return what assigns every message to one sender."""
    return always(Assign(sender or a_sender(), segments))


def ref_of(sid: str) -> str:
    """Return the id that the carrier gives a message here."""
    return f"ref-{sid}"


def receipt(sid: str, event: Event, code: int | None = None) -> ReceiptNews:
    """Return a receipt that names the carrier's id."""
    return ReceiptNews(CONNECTION, ref_of(sid), event, code)


def overtaking(sid: str, event: Event, code: int | None = None) -> ReceiptNews:
    """Return a receipt that names our SID, so that it is understood before the answer."""
    return ReceiptNews(CONNECTION, ref_of(sid), event, code, sid)


async def add(store: Store, *messages: Message) -> list[AddResult]:
    """Add messages without a cap that matters."""
    return await store.add([new(m) for m in messages], START)


async def perform(store: Store, event: Event, message: Message, at: Instant) -> None:
    """Let an event happen to a message through the methods a node would call."""
    sid = message.sid
    match event:
        case Event.CANCEL:
            await store.cancel(message.account_sid, [sid], at)
        case Event.ASSIGN:
            await store.dispatch([sid], assign(), at)
        case Event.CLAIM:
            await store.claim([sid], RUN, [], at)
        case Event.REFUSE:  # before it is decided, and after
            await store.dispatch([sid], always(Refuse(30036)), at)
            await store.record([Failed(sid, 30008)], RUN, at)
        case Event.RETURN | Event.ACCEPT:
            taken = event is Event.ACCEPT
            await store.record([Handed(sid, CONNECTION, ref_of(sid)) if taken else Returned(sid)], RUN, at)
        case Event.DELIVER | Event.UNDELIVER | Event.READ:
            await store.apply_receipts([overtaking(sid, event)], at)
        case Event.RECEIVE:
            raise ValueError("no method of the store receives: an inbound message is added when it is complete")


async def bring(store: Store, message: Message, status: Status) -> Message:
    """Add a message and bring it to `status`, one second a step from SEND_AT on; return it as it is then."""
    if status in _ROUTES:
        await add(store, message)
        for step, event in enumerate(_ROUTES[status]):
            await perform(store, event, message, later(step))
    elif status in (Status.SCHEDULED, Status.ACCEPTED):
        await add(store, msgspec.structs.replace(message, status=status))
    else:
        await store.add_inbound([msgspec.structs.replace(message, status=status)], [], START)
    return await read(store, message)


async def read(store: Store, message: Message) -> Message:
    """Return a message as it is now; it must be there."""
    found = await store.message(message.account_sid, message.sid)
    assert found is not None, f"{message.sid} is missing"
    return found


async def timers(store: Store) -> list[Cursor]:
    """Return every timer."""
    return await store.due(BEGINNING, FAR, 100_000)


async def callbacks(store: Store) -> list[CallbackRow]:
    """Return every call to a customer that is in the outbox."""
    return await store.due_callbacks(FAR, [], 100_000)


async def announced(store: Store) -> list[tuple[str, Status]]:
    """Return the SID and status of every call in the outbox, sorted."""
    return sorted((row.message_sid, row.status) for row in await callbacks(store))


async def everything(store: Store) -> object:
    """Return all that the contract lets one see, to find that nothing was changed."""
    return (
        [await store.messages(MessageQuery(account_sid=a, limit=100_000)) for a in (ACCOUNT, OTHER_ACCOUNT)],
        await timers(store),
        await callbacks(store),
        await store.lanes(),
        sorted(await store.resources(), key=lambda resource: resource.sid),
    )
