"""Every route of the node in one list, and the ASGI application over it.

A path with `.json` at its end and the same without are one route. No answer is a redirect:
Twilio's clients follow none.
"""

from collections.abc import Mapping

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from postdate.api import (
    accounts,
    applications,
    channel_senders,
    clock,
    connections,
    console,
    content,
    content_lists,
    events,
    handsets,
    keys,
    messages,
    numbers,
    pools,
    services,
)
from postdate.api.endpoint import Answer, Endpoint, Handler, Request, rejected, send_answer
from postdate.api.parts import Parts
from postdate.api.twilio import API_VERSION, error_json
from postdate.core.errors import Rejected

_ACCOUNTS = f"/{API_VERSION}/Accounts/"
_ACCOUNT = f"{_ACCOUNTS}{{account_sid}}"
_ALL_MESSAGES = "/Messages"
_MESSAGES = f"{_ACCOUNT}{_ALL_MESSAGES}"
_MESSAGE = f"{_MESSAGES}/{{sid}}"
_NUMBERS = f"{_ACCOUNT}/IncomingPhoneNumbers"
_SHORT_CODES = f"{_ACCOUNT}/SMS/ShortCodes"
_APPLICATIONS = f"{_ACCOUNT}/Applications"
_SERVICES = "/v1/Services"
_CAMPAIGNS = f"{_SERVICES}/{{service_sid}}/Compliance/Usa2p"
_CHANNEL_SENDERS = "/postdate/v1/ChannelSenders"
_CONTENTS = "/v1/Content"
_CONNECTIONS = "/postdate/v1/Connections"
_HANDSETS = "/postdate/v1/Handsets"

Paths = Mapping[str, Mapping[str, Handler]]

_ALL_NUMBERS: Mapping[str, Handler] = {"GET": numbers.list_numbers, "POST": numbers.create_number}
_ALL_KEYS: Mapping[str, Handler] = {"GET": keys.list_all, "POST": keys.create}
_KEY: Mapping[str, Handler] = {"GET": keys.fetch, "POST": keys.update, "DELETE": keys.delete}


def _pool_paths(pool: pools.JoinedPool | pools.AlphaPool) -> Paths:
    path = f"{_SERVICES}/{{service_sid}}/{pool.segment}"
    return {
        path: {"GET": pool.list_all, "POST": pool.create},
        f"{path}/{{sid}}": {"GET": pool.fetch, "DELETE": pool.delete},
    }


# Signed in with an account's credentials. Of two paths that fit, the first is taken: a word goes before a {sid}.
PATHS: Paths = {
    _MESSAGES: {"POST": messages.create, "GET": messages.list_all},
    _MESSAGE: {"GET": messages.fetch, "POST": messages.update, "DELETE": messages.delete},
    f"{_MESSAGE}/Media": {"GET": messages.list_media},
    f"{_MESSAGE}/Media/{{media_sid}}": {"GET": messages.fetch_media, "DELETE": messages.delete_media},
    f"{_MESSAGE}/Feedback": {"POST": messages.feedback},
    f"/{API_VERSION}/Accounts": {"GET": accounts.list_all, "POST": accounts.create},
    _ACCOUNT: {"GET": accounts.fetch, "POST": accounts.update},
    f"{_ACCOUNT}/Balance": {"GET": accounts.balance},
    f"{_ACCOUNT}/Keys": _ALL_KEYS,
    f"{_ACCOUNT}/Keys/{{sid}}": _KEY,
    f"{_ACCOUNT}/SigningKeys": _ALL_KEYS,
    f"{_ACCOUNT}/SigningKeys/{{sid}}": _KEY,
    _NUMBERS: _ALL_NUMBERS,
    f"{_NUMBERS}/Local": _ALL_NUMBERS,
    f"{_NUMBERS}/Mobile": _ALL_NUMBERS,
    f"{_NUMBERS}/TollFree": _ALL_NUMBERS,
    f"{_NUMBERS}/{{sid}}": {
        "GET": numbers.fetch_number,
        "POST": numbers.update_number,
        "DELETE": numbers.delete_number,
    },
    _SHORT_CODES: {"GET": numbers.list_codes, "POST": numbers.create_code},
    f"{_SHORT_CODES}/{{sid}}": {
        "GET": numbers.fetch_code,
        "POST": numbers.update_code,
        "DELETE": numbers.delete_code,
    },
    _APPLICATIONS: {"GET": applications.list_all, "POST": applications.create},
    f"{_APPLICATIONS}/{{sid}}": {
        "GET": applications.fetch,
        "POST": applications.update,
        "DELETE": applications.delete,
    },
    _SERVICES: {"GET": services.list_all, "POST": services.create},
    f"{_SERVICES}/Usecases": {"GET": services.usecases},
    f"{_SERVICES}/{{sid}}": {"GET": services.fetch, "POST": services.update, "DELETE": services.delete},
    **_pool_paths(pools.PHONE_NUMBERS),
    **_pool_paths(pools.SHORT_CODES),
    **_pool_paths(pools.ALPHA_SENDERS),
    **_pool_paths(pools.DESTINATION_ALPHA_SENDERS),
    **_pool_paths(pools.CHANNEL_SENDERS),
    _CAMPAIGNS: {"GET": pools.list_campaigns},
    f"{_CAMPAIGNS}/Usecases": {"GET": pools.campaign_usecases},
    f"{_CAMPAIGNS}/{{sid}}": {"GET": pools.fetch_campaign, "DELETE": pools.fetch_campaign},
    _CONTENTS: {"GET": content_lists.list_all, "POST": content.create},
    f"{_CONTENTS}/{{sid}}": {"GET": content.fetch, "PUT": content.update, "DELETE": content.delete},
    f"{_CONTENTS}/{{sid}}/ApprovalRequests": {"GET": content.fetch_approval},
    f"{_CONTENTS}/{{sid}}/ApprovalRequests/whatsapp": {"POST": content.request_approval},
    "/v1/ContentAndApprovals": {"GET": content_lists.list_with_approvals},
    "/v1/LegacyContent": {"GET": content_lists.list_legacy},
    "/v2/Content": {"GET": content_lists.search},
    "/v2/ContentAndApprovals": {"GET": content_lists.search_with_approvals},
    _CHANNEL_SENDERS: {"GET": channel_senders.list_all, "POST": channel_senders.create},
    f"{_CHANNEL_SENDERS}/{{sid}}": {
        "GET": channel_senders.fetch,
        "POST": channel_senders.update,
        "DELETE": channel_senders.delete,
    },
    _HANDSETS: {"GET": handsets.list_all},
    f"{_HANDSETS}/{{number}}": {"GET": handsets.fetch},
    f"{_HANDSETS}/{{number}}/Messages": {"POST": handsets.reply},
    _CONNECTIONS: {"GET": connections.list_all, "POST": connections.create},
    f"{_CONNECTIONS}/Kinds": {"GET": connections.list_kinds},
    f"{_CONNECTIONS}/{{sid}}": {"GET": connections.fetch, "POST": connections.update, "DELETE": connections.delete},
    f"{_CONNECTIONS}/{{sid}}/Test": {"POST": connections.send_test},
    "/postdate/v1/Console/Link": {"POST": console.make_link},
    "/postdate/v1/TestClock": {"GET": clock.fetch, "POST": clock.move},
}


async def health(request: Request) -> Answer:
    """Say that the node is up."""
    return Answer(200, {"status": "ok"})


# Open to anyone who knows the link.
PUBLIC_PATHS: Paths = {
    "/postdate/v1/Connections/{name}/Events": {"POST": events.take},
    "/media/{media_sid}": {"GET": messages.public_media},
    "/health": {"GET": health},
}


def routes(parts: Parts) -> list[BaseRoute]:
    """Return the list of routes, the busiest first."""
    signed_in = [Route(path, Endpoint(parts, handlers)) for path, handlers in PATHS.items()]
    public = [Route(path, Endpoint(parts, handlers, public=True)) for path, handlers in PUBLIC_PATHS.items()]
    return [*signed_in, *public, Route(events.PATH, events.CarrierEndpoint(parts))]


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await send_answer(send, rejected(Rejected(20404, f"There is nothing at {scope['path']}.")))


async def _failed(request: HttpRequest, error: Exception) -> Response:
    """Answer what no handler expected in Twilio's shape; the error itself goes to the log, never to the customer."""
    return JSONResponse(error_json(Rejected(20500)), 500)


class App:
    """The ASGI application of a node."""

    def __init__(self, parts: Parts) -> None:
        router = Router(routes(parts), redirect_slashes=False, default=_not_found)
        self._router: ASGIApp = ServerErrorMiddleware(router, handler=_failed)
        # What is asked for most goes past the router.
        self._messages: ASGIApp = ServerErrorMiddleware(Endpoint(parts, PATHS[_MESSAGES]), handler=_failed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a path's `.json` is taken off, and remembered."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.endswith(".json"):
                scope["path"] = path = path[:-5]
                scope["postdate.dotted"] = True
            account_sid = _account_of_messages(path)
            if account_sid:
                scope["path_params"] = {"account_sid": account_sid}
                await self._messages(scope, receive, send)
            else:
                await self._router(scope, receive, send)


def _account_of_messages(path: str) -> str:
    """Return the account whose messages a path is, as the router would find it; empty where it is another path."""
    if not (path.startswith(_ACCOUNTS) and path.endswith(_ALL_MESSAGES)):
        return ""
    account_sid = path[len(_ACCOUNTS) : -len(_ALL_MESSAGES)]
    return "" if "/" in account_sid else account_sid
