"""What every HTTP provider looks like: three pure functions over one shared shell (`connectors/http.py`).

A provider turns a submission into a request, an answer into an outcome, and what the carrier sends us into events. It
does no I/O, reads no clock and rolls no dice: time, chance and documents come as arguments. Whatever comes from outside
is hostile: bounded before it is read, and no word of it, nor any secret, gets into a text of ours.

One file a provider: its `Settings`, a class with the three functions, and `KIND`, which `connectors/kinds.py` lists.
Its docstring says what its shapes were checked against, and `KIND.checked` repeats it for the manual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

from postdate.connectors.contract import CarrierEvent, Submission
from postdate.core.address import Channel
from postdate.core.instant import Instant
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable

UNKNOWN_FAILURE: Final = 30008

# A setting that is encrypted at rest and never shown: `password: Secret`, `token: Secret | None = None`.
Secret = Annotated[str, Meta(min_length=1, max_length=8192, extra={"secret": True})]
Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s@#?]+\Z", max_length=2048)]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all HTTP providers are set up with; a provider's own settings inherit from it.

    Every field of a provider has a `Meta(description=...)`: the manual, the API and the command line show it.
    """

    in_flight: Annotated[int, Meta(ge=1, le=1000, description="Most requests under way at once.")] = 100
    timeout: Annotated[
        float, Meta(ge=0.1, le=120, description="Seconds to connect in, and again to be answered in.")
    ] = 10.0

    def __repr__(self) -> str:
        return type(self).__name__  # the fields hold secrets


@dataclass(frozen=True, slots=True)
class Context:
    """What a request may need beside the message.

    `events_url` is where the carrier may report about this very message: it is unguessable and holds our SID, so that a
    carrier that knows no reference of ours and signs nothing can still be understood and believed.
    """

    at: Instant
    chance: bytes = field(repr=False)  # 16 random bytes
    events_url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)  # of a WithToken


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, to the byte."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back at `at`; names of headers are in small letters.

    A yes comes whole or not at all; of another answer whose body cannot be had, `body` is empty.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: Instant


@dataclass(frozen=True, slots=True)
class Call:
    """What a carrier sent to us at `at`: the URL as it was given out, names of headers in small letters.

    The shell has checked the unguessable part of the URL already; a provider checks the signature besides, where the
    carrier signs and the secret is set. `sid` is the message that the URL was made for, if it was made for one.
    """

    method: str
    url: str = field(repr=False)
    query: Sequence[tuple[str, str]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: Instant
    sid: str | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a call means, and what it is answered once all events are on disk. `follow` is a GET to make after it."""

    events: Sequence[CarrierEvent] = ()
    status: int = 204
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    follow: str | None = None


class BadEvent(ValueError):
    """What a carrier told us cannot be taken; the text says what is wrong with it."""


class Untrusted(BadEvent):
    """It is not signed as it must be, or too old."""


class NeedsDocument(Exception):
    """The provider needs what is at this URL (a certificate); the shell fetches it over https, once, and asks again.

    The provider has made sure that the URL is at a host of the carrier's.
    """

    def __init__(self, url: str) -> None:
        super().__init__("a document is needed")
        self.url = url


class Provider(Protocol):
    """One carrier's API: three pure functions."""

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that hands the message over; Refused where this carrier can never take it."""

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Say what an answer means. Only one that says what happened is believed; all else is InDoubt."""

    def events(self, call: Call) -> Heard:
        """Read what the carrier sent; raise Untrusted, BadEvent or NeedsDocument."""


@runtime_checkable
class AsksProvider(Protocol):
    """A provider that can be asked what became of a message in doubt."""

    def question(self, submission: Submission, context: Context) -> Request:
        """Return the request that asks for it, by a reference of ours."""

    def verdict(self, submission: Submission, answer: Answer) -> Accepted | Unreachable | InDoubt:
        """Say what the answer means; Unreachable only where the carrier has it not, for certain."""


@runtime_checkable
class WithToken(Protocol):
    """A provider whose requests carry a token that is asked for first; the shell keeps it until it expires."""

    def token_request(self, context: Context) -> Request:
        """Return the request for a token."""

    def read_token(self, answer: Answer) -> tuple[str, Instant] | None:
        """Return the token and until when it can be used, or None where there is none in the answer."""


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """One line of `connectors/kinds.py`, and of the manual's table of carriers."""

    name: str  # in small letters and -, as in `postdate connections add --kind NAME`
    title: str
    settings: type[HttpSettings]
    make: Callable[[Any], Provider]  # from its settings
    channels: frozenset[Channel]
    media: int  # most media in one message; 0: the links are put into the text instead
    checked: str  # what the shapes were checked against, in a few words
    receipts: bool = True
    inbound: bool = True
    knows_key: bool = False  # it knows our key again: `retry` does no harm
