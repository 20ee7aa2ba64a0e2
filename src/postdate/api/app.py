"""Every route of the node in one list, and the ASGI application over it.

A path with `.json` at its end and the same without are one route. No answer is a redirect:
Twilio's clients follow none.
"""

from collections.abc import Mapping

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from postdate.api import clock, messages
from postdate.api.endpoint import Answer, Endpoint, Handler, Request, rejected, send_answer
from postdate.api.parts import Parts
from postdate.api.twilio import API_VERSION
from postdate.core.errors import Rejected

_ACCOUNT = f"/{API_VERSION}/Accounts/{{account_sid}}"
_MESSAGE = f"{_ACCOUNT}/Messages/{{sid}}"

Paths = Mapping[str, Mapping[str, Handler]]

# Signed in with an account's credentials.
PATHS: Paths = {
    f"{_ACCOUNT}/Messages": {"POST": messages.create, "GET": messages.list_all},
    _MESSAGE: {"GET": messages.fetch, "POST": messages.update, "DELETE": messages.delete},
    f"{_MESSAGE}/Media": {"GET": messages.list_media},
    f"{_MESSAGE}/Media/{{media_sid}}": {"GET": messages.fetch_media, "DELETE": messages.delete_media},
    f"{_MESSAGE}/Feedback": {"POST": messages.feedback},
    "/postdate/v1/TestClock": {"GET": clock.fetch, "POST": clock.move},
}


async def health(request: Request) -> Answer:
    """Say that the node is up."""
    return Answer(200, {"status": "ok"})


# Open to anyone who knows the link.
PUBLIC_PATHS: Paths = {
    "/media/{media_sid}": {"GET": messages.public_media},
    "/health": {"GET": health},
}


def routes(parts: Parts) -> list[BaseRoute]:
    """Return the list of routes, the busiest first."""
    signed_in = [Route(path, Endpoint(parts, handlers)) for path, handlers in PATHS.items()]
    public = [Route(path, Endpoint(parts, handlers, public=True)) for path, handlers in PUBLIC_PATHS.items()]
    return [*signed_in, *public]


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await send_answer(send, rejected(Rejected(20404, f"There is nothing at {scope['path']}.")))


class App:
    """The ASGI application of a node."""

    def __init__(self, parts: Parts) -> None:
        self._router: ASGIApp = Router(routes(parts), redirect_slashes=False, default=_not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a path's `.json` is taken off, and remembered."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.endswith(".json"):
                scope["path"] = path[:-5]
                scope["postdate.dotted"] = True
            await self._router(scope, receive, send)
