"""What a carrier of the generic kind is described with: all of it checked when it is set, so that sending cannot fail.

The settings are flat, so that each can be set alone on a command line and the secrets among them be kept apart. What a
template may ask for is in `VALUES`; the manual (`docs/manual/generic-provider.md`) explains all of it with examples.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
import regex
from msgspec import Meta

from postdate.connectors.providers.contract import HttpSettings, Secret, Text
from postdate.connectors.providers.pointing import is_pointer
from postdate.connectors.providers.template import Template

# What templates may ask for, and what each is.
VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "to": "the recipient, as +15550001111",
        "from": "the sender, a number or a name",
        "body": "the text",
        "sid": "our id of the message: the key by which a carrier can know it again",
        "media_url": "the link to the first medium, empty without one",
        "events_url": "where the carrier may report about this message",
        "expires_at": "when it must no longer be delivered, as 2030-01-01T16:00:00Z",
        "expires_in": "how many seconds are left until then",
        "expires_in_minutes": "the same in whole minutes, at least 1",
        "segments": "how many segments it has",
        "coding": "0 where GSM-7 can write it, else 2",
        "unicode": "false where GSM-7 can write it, else true",
        "user": "the setting user",
        "password": "the setting password",
        "token": "the setting token",
        "basic": "user and password as Basic credentials",
    }
)
BODY_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "form": "application/x-www-form-urlencoded",
        "json": "application/json",
        "xml": "application/xml; charset=utf-8",
        "raw": "text/plain; charset=utf-8",
    }
)
OUTCOMES: Final = frozenset({"delivered", "undelivered", "read", "ignored"})
ANY: Final = "*"

# The host is fixed: no value of a message decides who gets it.
_URL: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s@#?/:{}\[\]]+)(:[0-9]{1,5})?([/?][^\s#]*)?")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
HEADER_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
# The connection itself decides on these.
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"})

Status = Annotated[int, Meta(ge=200, le=599)]
Code = Annotated[int, Meta(ge=10_000, lt=100_000)]
_Pattern = Annotated[str, Meta(min_length=1, max_length=512)]
_Place = Annotated[str, Meta(min_length=1, max_length=256)]
_Map = Annotated[dict[str, str], Meta(max_length=100)]


class GenericSettings(HttpSettings, frozen=True, kw_only=True):
    """A carrier in words: what is sent, what its answers mean, and how it reports."""

    # -- what is sent
    url: Annotated[Text, Meta(description="Template of the URL; its host is fixed.")]
    method: Annotated[Literal["GET", "POST", "PUT"], Meta(description="GET, POST or PUT.")] = "POST"
    headers: Annotated[_Map, Meta(description="Headers: names, and templates of their values.")] = msgspec.field(
        default_factory=dict
    )
    body: Annotated[str, Meta(max_length=16_384, description="Template of the body; empty: none is sent.")] = ""
    body_type: Annotated[
        Literal["form", "json", "xml", "raw"], Meta(description="What the body is, and how values are written in it.")
    ] = "form"
    user: Annotated[Text, Meta(description="User name, for {user} and {basic}.")] | None = None
    password: Annotated[Secret, Meta(description="Password, for {password} and {basic}.")] | None = None
    token: Annotated[Secret, Meta(description="Token or key, for {token}.")] | None = None

    # -- what an answer means
    success: Annotated[tuple[Status, ...], Meta(min_length=1, max_length=20, description="Statuses of a yes.")] = (
        200,
        201,
        202,
    )
    success_pattern: Annotated[_Pattern, Meta(description="Must be found in the answer of a yes.")] | None = None
    refusal_pattern: Annotated[_Pattern, Meta(description="Found in the answer of a yes: it is a no.")] | None = None
    busy: Annotated[tuple[Status, ...], Meta(max_length=20, description="Statuses that ask us to come back.")] = (429,)
    refusal: Annotated[
        tuple[Status, ...],
        Meta(max_length=99, description="Statuses of a no; empty: 4xx but 401 to 405, 407 to 409, 425."),
    ] = ()
    id_pointer: Annotated[_Place, Meta(description="JSON pointer to the carrier's id in the answer.")] | None = None
    id_pattern: Annotated[_Pattern, Meta(description="Pattern whose first group is that id.")] | None = None
    error_pointer: Annotated[_Place, Meta(description="JSON pointer to its error code in the answer.")] | None = None
    error_codes: Annotated[
        dict[str, Code], Meta(max_length=200, description="The carrier's error codes, and ours for them.")
    ] = msgspec.field(default_factory=dict)

    # -- what the carrier tells us
    event_source: Annotated[
        Literal["json", "form", "query"], Meta(description="Where the fields of a report stand.")
    ] = "json"
    event_list: Annotated[_Place, Meta(description="JSON pointer to a list of reports.")] | None = None
    event_id: Annotated[_Place, Meta(description="Where the carrier's id stands.")] | None = None
    event_sid: Annotated[_Place, Meta(description="Where our id stands.")] | None = None
    event_status: Annotated[_Place, Meta(description="Where the status stands.")] | None = None
    event_error: Annotated[_Place, Meta(description="Where the error code stands.")] | None = None
    event_from: Annotated[_Place, Meta(description="Where the sender of an inbound message stands.")] | None = None
    event_to: Annotated[_Place, Meta(description="Where its recipient stands.")] | None = None
    event_body: Annotated[_Place, Meta(description="Where its text stands.")] | None = None
    event_media: Annotated[_Place, Meta(description="Where the link to its medium stands, or a list.")] | None = None
    event_plus: Annotated[bool, Meta(description="Its numbers come without a +: write one.")] = False
    statuses: Annotated[
        _Map, Meta(description="The carrier's statuses, and what each means: delivered, undelivered, read, ignored.")
    ] = msgspec.field(default_factory=dict)
    event_check: Annotated[
        Literal["none", "header", "hmac-sha256", "hmac-sha1"],
        Meta(description="What a report must come with: the secret in a header, or a signature of its body."),
    ] = "none"
    event_header: Annotated[_Place, Meta(description="The header that it is in.")] | None = None
    event_secret: Annotated[Secret, Meta(description="The secret that it is checked with.")] | None = None
    event_digest: Annotated[Literal["hex", "base64"], Meta(description="How a signature is written.")] = "hex"
    event_prefix: Annotated[str, Meta(max_length=64, description="What stands before it, like sha256=.")] = ""
    event_answer: Annotated[str, Meta(max_length=256, description="What the carrier wants to read; empty: a 204.")] = ""

    def __post_init__(self) -> None:
        """Raise ValueError, which names the setting and repeats no value, where it cannot work."""
        if not _URL.fullmatch(self.url):
            raise ValueError("url must be like https://gateway.example/send?to={to}, with nothing filled in its host")
        _check_headers(self.headers)
        for name, text, way in (("url", self.url, "url"), ("body", self.body, self.body_type)):
            _template(name, text, way)
        for header, text in self.headers.items():
            _template(f"headers ({header})", text, "raw")
        self._check_values()
        self._check_answers()
        self._check_events()

    def _check_values(self) -> None:
        asked = set[str]().union(*(Template(text, VALUES, "raw").names for text in self._templates()))
        needed = {"user": {"user"}, "password": {"password"}, "token": {"token"}, "basic": {"user", "password"}}
        for value, settings in needed.items():
            missing = {name for name in settings if getattr(self, name) is None}
            if value in asked and missing:
                raise ValueError(f"{{{value}}} is asked for, but not set: {', '.join(sorted(missing))}")
        if not {"to", "body"} <= asked:
            raise ValueError("url, headers and body must ask for {to} and {body} somewhere")
        if self.method == "GET" and self.body:
            raise ValueError("body must be empty where method is GET")

    def _templates(self) -> list[str]:
        return [self.url, self.body, *self.headers.values()]

    def _check_answers(self) -> None:
        if self.id_pointer is not None and self.id_pattern is not None:
            raise ValueError("id_pointer and id_pattern cannot both be set")
        for name in ("id_pointer", "error_pointer", "event_list"):
            pointer = getattr(self, name)
            if pointer is not None and not is_pointer(pointer):
                raise ValueError(f"{name} must be a JSON pointer, like /messages/0/id")
        for name in ("success_pattern", "refusal_pattern", "id_pattern"):
            pattern = getattr(self, name)
            if pattern is not None:
                groups = _groups(name, pattern)
                if name == "id_pattern" and groups < 1:
                    raise ValueError("id_pattern must hold a group in parentheses: the id")
        both = (set(self.success) & set(self.busy)) | (set(self.success + self.busy) & set(self.refusal))
        if both:
            raise ValueError(f"a status can have one meaning only, but has more: {', '.join(map(str, sorted(both)))}")

    def _check_events(self) -> None:
        for value in self.statuses.values():
            if value not in OUTCOMES:
                raise ValueError(f"statuses must map to one of {', '.join(sorted(OUTCOMES))}")
        if bool(self.statuses) != (self.event_status is not None):
            raise ValueError("event_status and statuses go together: where the status stands, and what it means")
        inbound = [self.event_from, self.event_to, self.event_body]
        if any(inbound) and not all(inbound):
            raise ValueError("event_from, event_to and event_body go together")
        if self.event_source == "json":
            self._check_pointers()
        elif self.event_list is not None:
            raise ValueError("event_list is for event_source json only")
        if self.event_check != "none" and (self.event_header is None or self.event_secret is None):
            raise ValueError("event_check needs event_header and event_secret")

    def _check_pointers(self) -> None:
        for name in ("id", "sid", "status", "error", "from", "to", "body", "media"):
            pointer = getattr(self, f"event_{name}")
            if pointer is not None and not is_pointer(pointer):
                raise ValueError(f"event_{name} must be a JSON pointer, like /message/id, where event_source is json")


def _template(name: str, text: str, way: str) -> None:
    try:
        Template(text, VALUES, way)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, text in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError("headers holds a name that cannot be set, like Host or one with a blank")
        if not HEADER_TEXT.fullmatch(text) or len(text) > 2048:
            raise ValueError(f"headers ({name}) is too long or holds a line break")


def _groups(name: str, pattern: str) -> int:
    try:
        return regex.compile(pattern).groups
    except regex.error:
        raise ValueError(f"{name} is not a regular expression") from None
