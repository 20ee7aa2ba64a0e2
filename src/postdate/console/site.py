"""What one port answers: the console below /console, a page that points there at /, and the API everywhere else."""

from starlette.types import ASGIApp, Receive, Scope, Send

from postdate.console.app import Console
from postdate.console.rendering import PREFIX


class Site:
    """The ASGI application of a node: API and console."""

    def __init__(self, api: ASGIApp, console: Console) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to whom it is for."""
        path: str = scope.get("path", "")
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            await self._console(scope, receive, send)
        elif path == "/" and _is_browser(scope):
            await self._console.landing(scope, receive, send)
        else:
            await self._api(scope, receive, send)


def _is_browser(scope: Scope) -> bool:
    accepts = (value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] in ("GET", "HEAD") and any(b"text/html" in value for value in accepts)
