"""Where carriers report: `/postdate/v1/Connections/{name}/Events`, for connections with a token of their own."""

from postdate.api.endpoint import Answer, Request
from postdate.connectors.http import Untrusted
from postdate.connectors.providers.plain_http import BadEvent
from postdate.core.errors import Rejected


async def take(request: Request) -> Answer:
    """Take receipts and inbound messages of a carrier: 204 once they are on disk."""
    name = request.params["name"]
    take_events = request.parts.carrier_events.get(name)
    if take_events is None:
        raise Rejected(20404, "No connection of this name takes events: it needs a URL and a token in the settings.")
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in request.headers.items()}
    try:
        await take_events(request.body, headers)
    except Untrusted as error:
        raise Rejected(20003, str(error)) from None
    except BadEvent as error:
        raise Rejected(20001, str(error)) from None
    return Answer(204)
