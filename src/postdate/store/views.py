"""What people ask a store for, beside its work: pages of messages, counts, and the calls that were made.

Every question is answered in bounded time, however much there is: a search that would have to look at too much for one
page stops, gives what it found, and says from where to go on; a count that would take too long says "at least".
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from postdate.core.instant import Instant
from postdate.core.message import Message, Status
from postdate.core.tally import Tally


class Cursor(NamedTuple):
    """A place in an order of messages: by when they are due, or by when they are listed."""

    due_at: Instant
    sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQuery:
    """A page of an account's messages, newest first; `reverse` reads towards newer ones from `after`.

    They are listed by when they were sent, else created: `listed_from` and `listed_before` are the cheapest dates.
    `error_code` looks at what failed or was not delivered. `search` takes a SID, or at least 8 characters of its
    beginning, whatever else is asked; or digits in a number: the recipient's, and the sender's of what is done.
    """

    account_sid: str
    recipient: str | None = None
    sender: str | None = None
    status: str | None = None
    service_sid: str | None = None
    direction: str | None = None
    error_code: int | None = None
    in_doubt: bool = False
    search: str | None = None
    sent_from: Instant | None = None
    sent_before: Instant | None = None
    created_from: Instant | None = None
    created_before: Instant | None = None
    listed_from: Instant | None = None
    listed_before: Instant | None = None
    due_from: Instant | None = None
    due_before: Instant | None = None
    after: Cursor | None = None
    reverse: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AgendaQuery:
    """A page of what an account, or one service, has still to send, by when it is due."""

    account_sid: str
    due_from: Instant | None = None
    due_before: Instant | None = None
    service_sid: str | None = None
    after: Cursor | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `next` is where the next one begins, None where there is nothing more.

    `cut`: the page is not full because it was not looked further than `next`; there may be more behind it.
    """

    messages: list[Message]
    next: Cursor | None = None
    cut: bool = False


class DueCount(NamedTuple):
    """How many; with `more` at least so many, because it was not counted further."""

    number: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """How an account stands: what is scheduled, due and not yet with a carrier, in doubt; then what was asked for."""

    scheduled: int
    overdue: DueCount
    in_doubt: DueCount
    due: list[DueCount]
    tallies: list[Tally]


class Called(msgspec.Struct, frozen=True, array_like=True):
    """One call to a customer: `took` in microseconds, `code` the HTTP status, or `fault` why there is none.

    `attempt` counts from 1; `request` and `answer` are the form and the body as far as they are kept.
    """

    id: int
    at: Instant
    account_sid: str
    message_sid: str
    status: Status
    url: str
    attempt: int
    took: int
    code: int | None
    fault: str | None
    request: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    """A page of an account's calls, or of those about one message; newest first, from `after` (an id) on.

    `failed`: those without a 2xx. Of an account they are looked for among its latest ten thousand.
    """

    account_sid: str
    message_sid: str | None = None
    failed: bool = False
    after: int | None = None
    limit: int = 50
