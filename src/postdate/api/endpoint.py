"""Between the web server and the handlers: reads a request, signs in, calls the handler, answers in Twilio's shape.

A handler is `async (Request) -> Answer` and raises `Rejected`; it sees no framework. One `Endpoint` stands for one path
and holds a handler for each method. Bodies and parameters are bounded before they are read.
"""

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from postdate.api.audit import deed_of, entry, keep, subject_of
from postdate.api.parts import Parts
from postdate.api.twilio import Form, NoForm, error_json, read_form
from postdate.core.errors import Rejected
from postdate.core.resources import Account, ApiKey
from postdate.store.contract import StoreError

_encode = msgspec.json.Encoder().encode
_NO_FORM = (b"application/json", b"multipart/")
_JSON = (b"content-type", b"application/json; charset=utf-8")
_BESIDES: Mapping[int, tuple[tuple[bytes, bytes], ...]] = {
    401: ((b"www-authenticate", b'Basic realm="Twilio API"'),),
    503: ((b"retry-after", b"10"),),  # seconds: by then a changed connection is open, a full disk looked at again
}
_MOST_KNOWN = 1_024
_log = structlog.get_logger("postdate.api")


@dataclass(slots=True)
class Request:
    """What a handler sees. `actor` signed in, with `key` if not with its auth token.

    `account` is the one acted on: the actor's own or a subaccount.
    """

    parts: Parts
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: Form
    form: Form
    body: bytes
    dotted: bool  # the path ended in .json
    actor: Account
    account: Account
    key: ApiKey | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a handler returns: a JSON value, or bytes with their type, or nothing."""

    status: int
    json: Any = None
    body: bytes | None = None
    content_type: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Answer]]
_SignedIn = tuple[Account, Account, ApiKey | None]  # who acts, on which account, and with which key if with one


class HungUp(Exception):
    """The customer went away before the request was whole: nobody carries out half a request, or answers it."""


class Endpoint:
    """One path of the API, as an ASGI application."""

    def __init__(self, parts: Parts, handlers: Mapping[str, Handler], public: bool = False) -> None:
        self._parts = parts
        self._handlers = handlers
        self._public = public
        # Who signed in as of which change of the directory, by the digest of the credentials and the account asked for.
        self._known: dict[tuple[bytes, str | None], tuple[int, _SignedIn]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except HungUp:
            return
        except Rejected as error:
            answer = rejected(error)
        except StoreError as error:
            answer = rejected(Rejected(20503, str(error)))
        await send_answer(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = dict(scope["headers"])
        method = scope["method"]
        client = scope.get("client")
        handler = self._handlers.get("GET" if method == "HEAD" else method)
        params = scope.get("path_params", {})
        directory, account_sid = self._parts.directory, params.get("account_sid")
        as_of = directory.changes
        signed_in = self._signed_in(headers, account_sid)
        if handler is None:
            raise Rejected(20004, f"{method} is not allowed here; allowed: {', '.join(sorted(self._handlers))}.")
        settings = self._parts.settings
        body = await read_body(receive, headers, settings.max_body_bytes)
        if directory.changes != as_of:  # while the body was on its way
            signed_in = self._signed_in(headers, account_sid)
        actor, account, key = signed_in
        no_form = body and headers.get(b"content-type", b"").lower().startswith(_NO_FORM)
        request = Request(
            parts=self._parts,
            method=method,
            path=scope["path"],
            params=params,
            headers=headers,
            query=read_form(scope["query_string"], settings.max_parameters),
            form=NoForm() if no_form else read_form(body, settings.max_parameters),
            body=body,
            dotted=scope.get("postdate.dotted", False),
            actor=actor,
            account=account,
            key=key,
        )
        answer = await handler(request)
        deed = None if self._public or method in ("GET", "HEAD") else deed_of(handler)
        if deed is not None:
            done = deed, subject_of(answer.json, params.get("sid", ""))
            await keep(
                self._parts.store,
                entry(self._parts.clock.now(), account.sid, key or actor, done, client[0] if client else ""),
            )
        return answer

    def _signed_in(self, headers: Mapping[bytes, bytes], account_sid: str | None) -> _SignedIn:
        """Return who signed in, which is looked up once for each change of the directory; raise Rejected."""
        if self._public:
            return self._parts.nobody, self._parts.nobody, None
        header, changes = headers.get(b"authorization", b""), self._parts.directory.changes
        asked = hashlib.sha256(header).digest(), account_sid
        known = self._known.get(asked)
        if known is not None and known[0] == changes:
            return known[1]
        signed_in = self._sign_in(header, account_sid)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[asked] = changes, signed_in
        return signed_in

    def _sign_in(self, header: bytes, account_sid: str | None) -> _SignedIn:
        directory = self._parts.directory
        user, secret = credentials(header)
        actor = directory.sign_in(user, secret)
        if actor is None:
            raise Rejected(20003)
        account = actor if account_sid is None else directory.may_act_on(actor, account_sid)
        if account is None:
            raise Rejected(20003, "These credentials are not those of the account in the URL or of its parent.")
        if not directory.is_active(actor) or not (directory.is_active(account) or account is not actor):
            raise Rejected(20005)
        return actor, account, directory.find(ApiKey, user)


def only_with_token(request: Request) -> None:
    """Raise Rejected (20003, 403) where an API key signed in: accounts and keys need the auth token itself."""
    if request.key is not None:
        raise Rejected(
            20003, "An API key may not manage accounts or keys: use the account SID and its auth token.", 403
        )


def credentials(header: bytes) -> tuple[str, str]:
    """Return user and secret of a Basic header; empty ones where there are none."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, secret


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], most: int) -> bytes:
    """Return the whole body; raise Rejected (20413) where it is longer than `most`, HungUp where it breaks off."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most:
        raise _too_large(most)
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return body


def _too_large(most: int) -> Rejected:
    return Rejected(20413, f"A request body has at most {most} bytes.")


def rejected(error: Rejected) -> Answer:
    """Return the answer to a request that cannot be carried out."""
    if error.http_status >= 500:
        _log.warning("request failed", code=error.code, detail=error.detail)
    extra = _BESIDES.get(error.http_status, ())
    return Answer(error.http_status, error_json(error), headers=extra)


async def send_answer(send: Send, answer: Answer) -> None:
    """Write an answer to the web server."""
    headers = list(answer.headers)
    body = answer.body
    if body is not None:
        headers.append((b"content-type", answer.content_type.encode()))
    elif answer.status == 204:
        body = b""
    else:
        body = _encode(answer.json)
        headers.append(_JSON)
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
