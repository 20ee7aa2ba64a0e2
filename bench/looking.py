"""A store with much of everything in it, and what people ask it for: roles of `bench.server`."""

import random
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.telling import input_closed, tell
from bench.watching import furnish, recipient, settings_for
from postdate.api.configuration import sid_for
from postdate.clock import SystemClock
from postdate.console.cookies import SESSION
from postdate.console.sessions import Sessions
from postdate.core.address import bucket_of
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant
from postdate.core.message import Direction, Message, Options, Status
from postdate.core.resources import Role, User
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.node import Node
from postdate.store.contract import AgendaQuery, Cursor, Found, MessageQuery, New
from postdate.store.sqlite import SqliteStore

_AT_ONCE: Final = 5_000
_NO_CAP: Final = 2**62
_OVER: Final = 30 * DAY  # so long ago the first of them was made
_SENDERS: Final = 1_000
_DUE_OVER: Final = 35 * DAY
_BODY: Final = "Your appointment is tomorrow at 10 o'clock. Reference {}"
FEW: Final = 10  # of a million: what failed, what is in doubt
_RARE: Final = "+14155559999"
_CODE: Final = 30003
# In a thousand: how many stand so; the rest is delivered.
_SHARES: Final = {
    Status.SCHEDULED: 250,
    Status.SENT: 50,
    Status.UNDELIVERED: 20,
    Status.CANCELED: 30,
    Status.RECEIVED: 50,
}
_UNSENT: Final = {Status.SCHEDULED, Status.SENDING, Status.FAILED, Status.CANCELED}


# -- filling -----------------------------------------------------------------------------------------------------------


async def fill_mixed(given: Mapping[str, Any]) -> None:
    """Put `count` messages of every status into a store: most are delivered, a few failed, a few are in doubt."""
    data, count = Path(given["data"]), given["count"]
    async with Node(settings_for(data)) as node:
        place = await furnish(node)
        now = node.clock.now()
    store = SqliteStore(data / "postdate.db")
    await store.open()
    made = _mixed(place.account, place.service, count, now)
    for first in range(0, count, _AT_ONCE):
        batch = [next(made) for _ in range(min(_AT_ONCE, count - first))]
        await store.add([New(m, _NO_CAP) for m in batch if m.status is Status.SCHEDULED], now)
        # What is done has no timer: the way in for messages that come whole adds none.
        await store.add_inbound([m for m in batch if m.status is not Status.SCHEDULED], [], now)
        tell(added=first + len(batch))
    await store.close()
    tell(account=place.account, service=place.service)


def _mixed(account: str, service: str, count: int, now: Instant) -> Iterator[Message]:
    chance = random.Random(count)
    statuses = [status for status, share in _SHARES.items() for _ in range(share)]
    rare = {n * (count // (2 * FEW)): status for n, status in enumerate([Status.FAILED, Status.SENDING] * FEW)}
    for n in range(count):
        created_at = Instant(now - _OVER + n * _OVER // count)
        drawn = chance.randrange(1_000)
        status = rare.get(n) or (statuses[drawn] if drawn < len(statuses) else Status.DELIVERED)
        yield _one(account, service, n, status, created_at, chance)


def _one(account: str, service: str, n: int, status: Status, at: Instant, chance: random.Random) -> Message:
    to = _RARE if n == 1_000 else recipient(n)
    bucket = bucket_of(account, to)
    waits = status is Status.SCHEDULED
    due_at = Instant(at + _OVER + HOUR + chance.randrange(_DUE_OVER)) if waits else at
    sent_at = None if status in _UNSENT else Instant(at + chance.randrange(DAY))
    sender = f"+1415555{chance.randrange(_SENDERS):04}"
    return Message(
        sid=new_sid("SM", at, bucket, secrets.token_bytes(CHANCE_BYTES)),
        bucket=bucket,
        account_sid=account,
        service_sid=service,
        direction=Direction.INBOUND if status is Status.RECEIVED else Direction.OUTBOUND_API,
        status=status,
        sender=None if waits else sender,
        sender_sid=None,
        recipient=to,
        body=_BODY.format(n),
        media_urls=(),
        num_segments=1,
        send_at=due_at,
        due_at=due_at,
        expires_at=Instant(due_at + DAY),
        callback_url=None,
        attempts=0 if waits else 1,
        claim="-run" if status is Status.SENDING else None,
        doubt_at=at if status is Status.SENDING else None,
        carrier_ref=None if status in _UNSENT else f"ref-{n}",
        error_code=_CODE if status in (Status.FAILED, Status.UNDELIVERED) else None,
        created_at=at,
        updated_at=at,
        sent_at=sent_at,
        listed_at=at if sent_at is None else sent_at,
        options=Options(),
    )


# -- looking -----------------------------------------------------------------------------------------------------------

_PAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "first page": {},
    "page 10,000": {"deep": True},
    "scheduled": {"status": "scheduled"},
    "canceled": {"status": "canceled"},
    "10 failed": {"status": "failed"},
    "10 in doubt": {"in_doubt": True},
    "inbound": {"direction": "inbound"},
    "an error code": {"error_code": _CODE},
    "sent, of delivered": {"status": "sent"},
    "one sender of 1,000": {"sender": "+14155550007"},
    "one sender of 1,000, undelivered": {"sender": "+14155550007", "status": "undelivered"},
    "one recipient, long ago": {"recipient": _RARE},
    "a number's last digits": {"search": "59999"},
    "nobody's number": {"search": "0000000000"},
    "one day": {"day": True},
    "created on one day, one sender": {"created": True, "sender": "+14155550007"},
}


async def look(given: Mapping[str, Any]) -> None:
    """Ask a filled store for what the console's screens show; tell how many milliseconds each took."""
    store = SqliteStore(Path(given["data"]) / "postdate.db")
    await store.open()
    clock = SystemClock()
    now = clock.now()
    account = given["account"]
    minutes = [Instant(now + n * MINUTE) for n in range(61)]
    days = [Instant(now + n * DAY) for n in range(36)]
    agenda = AgendaQuery(account_sid=account, due_from=Instant(now + 9 * DAY), service_sid=given["service"])
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        **{f"log: {name}": _search(store, account, asked, now) for name, asked in _PAGES.items()},
        "agenda: a page": lambda: store.search(agenda),
        "agenda: 35 days counted": lambda: store.overview(account, now, now, days),
        "overview, and the next hour": lambda: store.overview(account, now, Instant(now - DAY), minutes),
    }
    for name, ask in questions.items():
        took: list[float] = []
        answer: object = None
        for _ in range(given["runs"]):
            start = clock.monotonic()
            answer = await ask()
            took.append((clock.monotonic() - start) / SECOND * 1_000)
        tell(name=name, took=took, cut=isinstance(answer, Found) and answer.cut)
    tell(name="end")
    await store.close()


def _search(
    store: SqliteStore, account: str, asked: Mapping[str, Any], now: Instant
) -> Callable[[], Awaitable[object]]:
    day = Instant(now - 15 * DAY)
    more: dict[str, Any] = {name: value for name, value in asked.items() if name not in ("deep", "day", "created")}
    if "deep" in asked:
        more["after"] = Cursor(day, "~")
    if "day" in asked:
        more |= {"listed_from": day, "listed_before": Instant(day + DAY)}
    if "created" in asked:
        more |= {"created_from": day, "created_before": Instant(day + DAY)}
    query = MessageQuery(account_sid=account, **more)
    return lambda: store.search(query)


# -- the same as pages -------------------------------------------------------------------------------------------------


async def serve_console(given: Mapping[str, Any]) -> None:
    """Serve the console over a store as it was filled: tells its port and the cookie of an owner who is signed in."""
    async with Node(settings_for(Path(given["data"]))) as node:
        await node.listen()
        at = node.clock.now()
        user = User(
            sid=sid_for("US", at), name="bench", roles={given["account"]: Role.OWNER}, created_at=at, updated_at=at
        )
        await node.directory.put(user)
        token = await Sessions(node.directory, SystemClock()).begin(user, given["account"], "127.0.0.1")
        tell(port=node.port, cookie=f"{SESSION}={token}")
        await input_closed()
