"""Speaks HTTP to a node, one request after another, with nothing but the standard library.

No redirect is followed and no proxy is asked: credentials go where they were told to go, and nowhere else.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from postdate.cli.command import Exit, Trouble
from postdate.cli.credentials import Credentials
from postdate.cli.record import Record

TIMEOUT_SECONDS = 60.0
# A test clock may have days of work to do on its way.
ADVANCE_SECONDS = 600.0

Fields = Sequence[tuple[str, str]]


class Refused(Trouble):
    """The node's answer to what it will not do, in Twilio's shape."""

    def __init__(self, body: bytes, error: Record) -> None:
        more = f"\n  {error.text('more_info')}" if "more_info" in error else ""
        super().__init__(f"Error {error.text('code')}: {error.text('message')}{more}")
        self.body = body
        self.status = error.number("status") or 0


class NotReached(Trouble):
    """No answer, or none that a node gives."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, Exit.UNREACHED)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    timeout: float = TIMEOUT_SECONDS


class Client:
    """One account's way to one node."""

    def __init__(self, credentials: Credentials) -> None:
        self.account_sid = credentials.account_sid
        self._url = credentials.url.rstrip("/")
        self._place = _place(self._url)
        pair = f"{credentials.account_sid}:{credentials.auth_token}"
        self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()

    def path(self, *parts: str) -> str:
        """Return the path of one of the account's resources."""
        return f"/2010-04-01/Accounts/{'/'.join(map(_part, (self.account_sid, *parts)))}.json"

    def get(self, path: str, query: Fields = ()) -> bytes:
        """Return the body of a GET; raise Refused or NotReached."""
        return self._ask(_Request("GET", f"{path}?{urlencode(query)}" if query else path))

    def get_all(self, path: str, key: str) -> bytes:
        """Return a list whole, as one page, however many the node gives it in; raise Refused or NotReached."""
        body = self.get(path, [("PageSize", "1000")])
        query = _following(Record.parse(body))
        if not query:
            return body  # as it came
        whole = json.loads(body)
        while query:
            # Its query alone: a link names the node as carriers reach it, which may be another way than ours.
            page = self.get(f"{path}?{query}")
            whole[key] += json.loads(page)[key]
            query = _following(Record.parse(page))
        _drop_links(whole)
        return json.dumps(whole).encode()

    def post(
        self,
        path: str,
        fields: Fields = (),
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> bytes:
        """Return the body of a POST of a form; raise Refused or NotReached."""
        return self._ask(_Request("POST", path, urlencode(fields).encode(), headers, timeout))

    def post_json(self, path: str, given: Mapping[str, Any]) -> bytes:
        """Return the body of a POST of JSON; raise Refused or NotReached."""
        return self._ask(_Request("POST", path, json.dumps(given).encode(), {"Content-Type": "application/json"}))

    def delete(self, path: str) -> None:
        """Remove something; raise Refused or NotReached."""
        self._ask(_Request("DELETE", path))

    def _ask(self, asked: _Request) -> bytes:
        # Takes a twentieth of a second to import, which `--help` would pay for too.
        import http.client

        kind = http.client.HTTPSConnection if self._place.scheme == "https" else http.client.HTTPConnection
        headers = {"Authorization": self._authorization, "Accept": "application/json", **(asked.headers or {})}
        if asked.method == "POST":
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        try:
            channel = kind(self._place.hostname or "", self._place.port, timeout=asked.timeout)
            try:
                channel.request(asked.method, self._place.path + asked.path, asked.body, headers)
                answer = channel.getresponse()
                return self._content(answer.status, answer.read())
            finally:
                channel.close()
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from None

    def _content(self, status: int, body: bytes) -> bytes:
        if 200 <= status <= 299:
            return body
        try:
            told = Record.parse(body)
        except ValueError:
            told = Record({})
        if "code" in told:
            raise Refused(body, told)
        raise NotReached(
            f"{self._url} answered {status}, but not as Postdate does: is it the right URL? "
            "Say the node's with --url or POSTDATE_URL."
        )

    def _silence(self, error: Exception) -> NotReached:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return NotReached(
            f"No node answers at {self._url} ({reason}).\n"
            "Start one with `postdate serve`, or say where it is with --url or POSTDATE_URL."
        )


def services(*parts: str) -> str:
    """Return the path of messaging services, or of something below one."""
    return "/".join(("/v1/Services", *map(_part, parts)))


def contents(*parts: str) -> str:
    """Return the path of contents, or of something below one."""
    return "/".join(("/v1/Content", *map(_part, parts)))


def connections(*parts: str) -> str:
    """Return the path of connections, or of something below one."""
    return "/".join(("/postdate/v1/Connections", *map(_part, parts)))


def channel_senders(*parts: str) -> str:
    """Return the path of senders on channels, or of one."""
    return "/".join(("/postdate/v1/ChannelSenders", *map(_part, parts)))


def accounts(*parts: str) -> str:
    """Return the path of accounts, or of one."""
    return "/".join(("/2010-04-01/Accounts", *map(_part, parts))) + ".json"


def _following(page: Record) -> str:
    """Return the query of the page that follows, in either shape of list; empty where none does."""
    link = page.text("next_page_uri") or page.record("meta").text("next_page_url")
    return urlsplit(link).query


def _drop_links(whole: dict[str, Any]) -> None:
    """Have a list that was put together lead to no further page."""
    if "meta" in whole:
        whole["meta"]["next_page_url"] = None
    else:
        whole["next_page_uri"] = None


def _part(text: str) -> str:
    return quote(text, safe="")


def _place(url: str) -> SplitResult:
    """Return the parts of a URL; raise NotReached where it is none."""
    try:
        place = urlsplit(url)
        usable = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        usable = False
        place = urlsplit("")
    if not usable:
        raise NotReached(f"{url!r} is not the URL of a node: write it like http://127.0.0.1:8080.")
    return place
