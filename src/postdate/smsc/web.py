"""The SMSC's handsets over HTTP: the same paths and the same JSON as a node's, for whoever is on this machine.

There are no accounts here, so everything is shown and nobody signs in: it listens on the machine itself only.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from postdate.api.endpoint import Answer, HungUp, read_body, rejected, send_answer
from postdate.api.handset_view import PATH, HandsetView, read_number
from postdate.api.twilio import read_form
from postdate.connectors.sandbox_handsets import Shown
from postdate.core.errors import Rejected
from postdate.smsc.server import Smsc

MOST_HEAD: Final = 16_384
_MOST_BODY: Final = 65_536
_MOST_PARAMETERS: Final = 100


@dataclass(frozen=True, slots=True)
class _Everyone:
    """A viewer to whom everything is shown."""

    async def sees(self, message: Shown) -> bool:
        return True

    def handset(self, text: str) -> str:
        return read_number(text)

    def sender(self, text: str, handset: str) -> str:
        return read_number(text)


class HandsetPages:
    """The ASGI application. `base_url` is where it is reached, once it listens."""

    def __init__(self, smsc: Smsc) -> None:
        self.base_url = ""
        self._smsc = smsc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except HungUp:
            return
        except Rejected as error:
            answer = rejected(error)
        await send_answer(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        method: str = scope["method"]
        path: str = scope["path"].removesuffix(".json")
        body = await read_body(receive, dict(scope["headers"]), _MOST_BODY)
        query, form = read_form(scope["query_string"], _MOST_PARAMETERS), read_form(body, _MOST_PARAMETERS)
        view = HandsetView(self._smsc.sandbox, _Everyone(), self.base_url)
        rest = path.removeprefix(PATH).split("/") if path.startswith(PATH) else []
        match (method, rest):
            case ("GET", [""]):
                return Answer(200, await view.numbers(query))
            case ("GET", ["", number]):
                return Answer(200, await view.conversation(number, query))
            case ("POST", ["", number, "Messages"]):
                return Answer(201, await view.reply(number, form))
            case ("GET", _) if path == "/health":
                return Answer(200, {"status": "ok"})
            case (_, [""] | ["", _] | ["", _, "Messages"]):
                raise Rejected(20004, f"{method} is not allowed here.")
            case _:
                raise Rejected(20404, f"There is nothing at {scope['path']}.")
