"""Where carriers report, and where what they tell is answered only once it is on disk.

`/postdate/v1/Connections/{name}/Events/{key}` is for every connection: the key is unguessable and looked at before a
byte of the body is read. `/postdate/v1/Connections/{name}/Events` is for those with a token of their own.
"""

from collections.abc import Mapping

from starlette.types import Receive, Scope

from postdate.api.endpoint import Answer, Endpoint, Request, read_body
from postdate.api.parts import CarrierWay, Parts, TakeCall
from postdate.connectors.http_calls import NotNow
from postdate.connectors.providers.contract import BadEvent, Call, Heard, Untrusted
from postdate.connectors.providers.reading import EVENTS_LIMIT, read_form
from postdate.core.errors import Rejected
from postdate.core.events_url import events_path, is_events_key, is_message_code

PATH = "/postdate/v1/Connections/{name}/Events/{key}"

_NOTHING = "There is nothing here for carriers: check the URL that the connection gives."


async def take(request: Request) -> Answer:
    """Take receipts and inbound messages of a carrier that sends a token."""
    take_call = request.parts.carrier_events.get(request.params["name"])
    if take_call is None:
        raise Rejected(20404, "No connection of this name takes events: it needs a URL and a token in the settings.")
    call = Call(
        method=request.method,
        url=f"{request.parts.base_url()}{request.path}",
        query=(),
        headers=_texts(request.headers),
        body=request.body,
        at=request.parts.clock.now(),
    )
    return await _taken(take_call, call, untrusted=401)


class CarrierEndpoint(Endpoint):
    """The path with a key, as an ASGI application: GET and POST."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, {}, public=True)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        name, key = scope["path_params"]["name"], scope["path_params"]["key"]
        way = self._parts.carrier_way(name)
        if way is None or not is_events_key(way.secret, way.connection_sid, key):
            raise Rejected(20404, _NOTHING)
        if scope["method"] not in ("GET", "POST"):
            raise Rejected(20004, f"{scope['method']} is not allowed here; allowed: GET, POST.")
        query = _query(scope["query_string"])
        sid = _message(way, query)
        headers = dict(scope["headers"])
        body = await read_body(receive, headers, EVENTS_LIMIT)
        raw_query = scope["query_string"].decode("latin-1")
        url = self._parts.base_url() + events_path(name, key) + (f"?{raw_query}" if raw_query else "")
        call = Call(scope["method"], url, query, _texts(headers), body, self._parts.clock.now(), sid)
        return await _taken(way.take, call, untrusted=403)


def _message(way: CarrierWay, query: list[tuple[str, str]]) -> str | None:
    """Return the message that the URL was made for; None where it was made for all. One that was made up is refused."""
    given = dict(reversed(query))  # ours come first; what the carrier adds behind them counts for nothing
    if "mac" not in given:
        return None
    sid = given.get("sid", "")
    if not is_message_code(way.secret, way.connection_sid, sid, given["mac"]):
        raise Rejected(20404, _NOTHING)
    return sid


def _query(raw: bytes) -> list[tuple[str, str]]:
    try:
        return read_form(raw)
    except BadEvent:
        raise Rejected(20001, "The query cannot be read: it must be UTF-8, percent-encoded, with few fields.") from None


def _texts(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers.items()}


async def _taken(take_call: TakeCall, call: Call, untrusted: int) -> Answer:
    try:
        heard = await take_call(call)
    except Untrusted as error:
        raise Rejected(20003, str(error), untrusted) from None
    except BadEvent as error:
        raise Rejected(20001, str(error)) from None
    except NotNow as error:
        raise Rejected(20503, str(error)) from None
    return _answered(heard)


def _answered(heard: Heard) -> Answer:
    if heard.status == 204:
        return Answer(204)
    return Answer(heard.status, body=heard.body, content_type=heard.content_type)
