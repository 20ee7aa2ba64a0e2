"""Where we call a customer, how long we wait, and whether we try again; what is said there is in `callback_form`.

A callback is our call to a customer's URL. This page knows its settings, which a customer writes behind the `#` of the
URL (never sent, never signed). Texts of errors and the output of `redacted` never hold user info or values of a query.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final, assert_never
from urllib.parse import parse_qsl, unquote, urlsplit

from postdate.core.errors import Rejected
from postdate.core.instant import MILLISECOND, SECOND

MAX_URL_LENGTH: Final = 4_000
MAX_HOST_LENGTH: Final = 253
INVALID_URL: Final = 21609
INVALID_RETRY_POLICY: Final = 11243

FIRST_RETRY_WAIT: Final = 250 * MILLISECOND
LONGEST_RETRY_WAIT: Final = 4 * SECOND
_KNOWN_URLS: Final = 1_024


class InvalidCallbackUrl(Rejected):
    """A callback URL that cannot be used; the text tells its owner what to change, `code` is 21609 or 11243."""

    def __init__(self, sentence: str, code: int = INVALID_URL) -> None:
        super().__init__(INVALID_URL, sentence)
        self.code = code


class RetryOn(StrEnum):
    """A kind of failure that the customer may ask us to repeat, in the words of the URL's `rp`."""

    CONNECT = "ct"
    READ = "rt"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"


@dataclass(frozen=True, slots=True)
class CallbackPolicy:
    """How long we wait for a customer's server and what we repeat; times in microseconds, total over all attempts."""

    connect_timeout: int = 5_000 * MILLISECOND
    read_timeout: int = 15_000 * MILLISECOND
    total_timeout: int = 15_000 * MILLISECOND
    retries: int = 1
    retry_on: frozenset[RetryOn] = frozenset({RetryOn.CONNECT})


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered; `whole` is false where the body was cut at its limit, broke off or came compressed."""

    status: int
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class NotConnected:
    """No connection, no TLS, or the connection ended before an answer began."""

    why: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The request was written and no answer began in time."""

    why: str


@dataclass(frozen=True, slots=True)
class Forbidden:
    """We refuse to call there: the address is not public, or the URL is none."""

    why: str


CallbackResult = Answered | NotConnected | TimedOut | Forbidden


# --- the URL ---------------------------------------------------------------------------------------------------------

_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
_AUTHORITY: Final = re.compile(r"(?P<scheme>[A-Za-z]+://)(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)


@lru_cache(maxsize=_KNOWN_URLS)
def parse_callback_url(text: str) -> str:
    """Return the URL, fragment and user info kept, without blanks around it; InvalidCallbackUrl says what to change."""
    url = text.strip()
    if len(url) > MAX_URL_LENGTH:
        raise InvalidCallbackUrl(f"The URL has {len(url):,} characters; shorten it to {MAX_URL_LENGTH:,}.")
    if not _VISIBLE.fullmatch(url):
        raise InvalidCallbackUrl(
            "The URL is empty or holds a blank, a backslash or a character outside ASCII; "
            "percent-encode it, and write a host name in its xn-- form."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidCallbackUrl(
            "The URL's host or port cannot be read; write it like https://example.com:8443/status."
        ) from None
    if parts.scheme not in ("http", "https") or not _AUTHORITY.fullmatch(url):
        raise InvalidCallbackUrl("The URL must begin with https:// or http:// and name a host.")
    _check_host(host, port)
    parse_overrides(url)
    return url


def _check_host(host: str, port: int | None) -> None:
    if not host:
        raise InvalidCallbackUrl("The URL names no host; write it like https://example.com/status.")
    if "_" in host:
        raise InvalidCallbackUrl("The URL's host holds an underscore; use a host name without one.")
    if len(host) > MAX_HOST_LENGTH or not _HOST.fullmatch(host):
        raise InvalidCallbackUrl(
            "The URL's host is not a host name; use letters, digits, hyphens and dots, "
            "at most 63 characters between two dots."
        )
    if port == 0:
        raise InvalidCallbackUrl("The URL's port is 0; use one from 1 to 65535, or none.")


def url_to_call(url: str) -> str:
    """Return the URL as it is requested: no fragment, `/` for an empty path; user info is still in it."""
    called, _, _ = url.partition("#")
    parts = _AUTHORITY.fullmatch(called)
    if parts is None or parts["rest"].startswith("/"):
        return called
    # A request line has no empty path: the receiver rebuilds the URL with "/", so that is what must be signed.
    return f"{parts['scheme']}{parts['authority']}/{parts['rest']}"


def split_credentials(url: str) -> tuple[str, str | None]:
    """Return the URL without user info, and the value of the Authorization header (None without user info)."""
    parts = _AUTHORITY.fullmatch(url)
    if parts is None or "@" not in parts["authority"]:
        return url, None
    user_info, _, host = parts["authority"].rpartition("@")
    user, _, password = user_info.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    return parts["scheme"] + host + parts["rest"], "Basic " + base64.b64encode(pair.encode()).decode()


def redacted(url: str) -> str:
    """Return the URL for logs: without user info, values of the query, and fragment."""
    bare, _ = split_credentials(url_to_call(url))
    if not _AUTHORITY.fullmatch(bare):
        return "(not a URL)"
    place, mark, query = bare.partition("?")
    if not mark:
        return place
    return place + "?" + "&".join(f"{name}=***" if sign else "***" for name, sign, _ in _query_parts(query))


def _query_parts(query: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in query.split("&")]


# --- the settings behind the # ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bounds:
    least: int
    most: int


_BOUNDS: Final[Mapping[str, _Bounds]] = {
    "ct": _Bounds(100, 10_000),
    "rt": _Bounds(100, 15_000),
    "tt": _Bounds(100, 15_000),
    "rc": _Bounds(0, 5),
}
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")
_ALL: Final = "all"


def parse_overrides(url: str) -> CallbackPolicy:
    """Read ct, rt, tt (ms), rc and rp from the fragment; numbers are brought into Twilio's bounds, others ignored.

    InvalidCallbackUrl for a value that is no number, and with code 11243 for an unknown retry policy.
    """
    _, _, fragment = url.partition("#")
    given = dict(parse_qsl(fragment, keep_blank_values=True))
    numbers = {name: _bounded(name, given[name]) for name in _BOUNDS if name in given}
    default = CallbackPolicy()
    return CallbackPolicy(
        connect_timeout=numbers["ct"] * MILLISECOND if "ct" in numbers else default.connect_timeout,
        read_timeout=numbers["rt"] * MILLISECOND if "rt" in numbers else default.read_timeout,
        total_timeout=numbers["tt"] * MILLISECOND if "tt" in numbers else default.total_timeout,
        retries=numbers.get("rc", default.retries),
        retry_on=_retry_policy(given["rp"]) if "rp" in given else default.retry_on,
    )


def _bounded(name: str, value: str) -> int:
    bounds = _BOUNDS[name]
    if not _NUMBER.fullmatch(value):
        raise InvalidCallbackUrl(
            f"The callback URL sets {name} behind its #, but not to a number; "
            f"use a whole number from {bounds.least} to {bounds.most}."
        )
    return min(max(int(value), bounds.least), bounds.most)


def _retry_policy(value: str) -> frozenset[RetryOn]:
    words = [word.strip().lower() for word in value.split(",")]
    known = frozenset(RetryOn)
    if not all(word == _ALL or word in known for word in words):
        raise InvalidCallbackUrl(
            "The callback URL's retry policy is unknown; set rp behind its # to one or more of "
            "ct, rt, 4xx, 5xx, all, with commas between.",
            INVALID_RETRY_POLICY,
        )
    return known if _ALL in words else frozenset(RetryOn(word) for word in words)


# --- again? ----------------------------------------------------------------------------------------------------------


def is_delivered(result: CallbackResult) -> bool:
    """Tell whether the customer's server took the callback (any 2xx)."""
    return isinstance(result, Answered) and 200 <= result.status <= 299


def next_attempt(
    policy: CallbackPolicy, attempt: int, result: CallbackResult, jitter: float, elapsed: int = 0
) -> int | None:
    """Return the microseconds to wait before the next attempt; None when the callback is settled.

    `attempt` counts from 1 and is the one that gave `result`; `jitter` is in [0, 1); `elapsed` are the microseconds
    since the first attempt began: no attempt begins after the policy's total.
    """
    if attempt < 1:
        raise ValueError("attempt counts from 1")
    failure = _failure(result)
    if failure is None or failure not in policy.retry_on or attempt > policy.retries:
        return None
    longest = min(FIRST_RETRY_WAIT << (attempt - 1), LONGEST_RETRY_WAIT)
    wait = longest // 2 + int(jitter * (longest // 2))
    return wait if elapsed + wait < policy.total_timeout else None


def policy_after(policy: CallbackPolicy, elapsed: int) -> CallbackPolicy:
    """Return the policy of an attempt that begins `elapsed` microseconds after the first: what is left of its total."""
    return replace(policy, total_timeout=max(policy.total_timeout - elapsed, 0))


def _failure(result: CallbackResult) -> RetryOn | None:
    match result:
        case Answered(status=status):
            return {4: RetryOn.CLIENT_ERROR, 5: RetryOn.SERVER_ERROR}.get(status // 100)
        case NotConnected():
            return RetryOn.CONNECT
        case TimedOut():
            return RetryOn.READ
        case Forbidden():
            return None
        case _:
            assert_never(result)
