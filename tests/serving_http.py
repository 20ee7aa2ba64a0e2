"""A web server in a test's own event loop, on a free port of 127.0.0.1: a customer's, or one in a carrier's place."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving_http(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve, and give the URL without a slash at the end."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
