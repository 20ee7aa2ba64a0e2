"""Another Postdate in Twilio's place: what our provider posts it takes, and what it tells our provider understands."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest

from postdate.connectors.contract import Attachment, Receipt, Submission
from postdate.connectors.providers.contract import Answer, Call, Context, Request, Untrusted
from postdate.connectors.providers.twilio import Settings, Twilio
from postdate.core.address import Channel
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, Outcome, Refused
from tests.api.serving import FROM, LONG_ENOUGH, TO
from tests.clients.conftest import Heard, Surroundings, surrounded
from tests.connectors.providers.building import SID

UNREACHABLE = "+15005550002"  # the sandbox reports 30003 for it


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Surroundings]:
    """Give a node that listens, and our own server that hears its callbacks."""
    async with surrounded(tmp_path) as around:
        yield around


def provider(upstream: Surroundings, **changes: str) -> Twilio:
    """Ours, set up for the upstream node's first account."""
    owner = upstream.site.customer
    given = {"account_sid": owner.account, "auth_token": owner.secret, "base_url": upstream.url, **changes}
    return Twilio(msgspec.convert(given, Settings))


def message(upstream: Surroundings, recipient: str = TO, attachments: tuple[Attachment, ...] = ()) -> Submission:
    """A message of ours that is due now."""
    now = upstream.site.now
    return Submission(
        SID, 1, FROM, recipient, Channel.SMS, "Grüße 🙂", 1, now, Instant(now + HOUR), attachments=attachments
    )


def context(upstream: Surroundings) -> Context:
    """The context of a request that is made now."""
    return Context(upstream.site.now, bytes(16), upstream.status_url)


async def asked(request: Request | Refused, now: Instant) -> Answer:
    """Send a request over the wire, and return what came back."""
    assert isinstance(request, Request)
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, request.url, data=request.body, headers=request.headers) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, await response.read(), now)


async def handed(upstream: Surroundings, ours: Twilio, submission: Submission) -> Outcome:
    """Hand a message over, and return what became of it."""
    answer = await asked(ours.request(submission, context(upstream)), upstream.site.now)
    return ours.outcome(submission, answer)


def as_call(upstream: Surroundings, heard: Heard) -> Call:
    """A callback of the upstream's, as our shell would hand it to the provider."""
    headers = {"x-twilio-signature": heard.signature}
    return Call("POST", upstream.status_url, (), headers, urlencode(heard.params).encode(), upstream.site.now, SID)


async def test_it_takes_our_message_and_its_callbacks_are_understood(upstream: Surroundings) -> None:
    ours = provider(upstream)
    outcome = await handed(upstream, ours, message(upstream))
    assert isinstance(outcome, Accepted)
    assert (await upstream.site.customer.fetch(outcome.carrier_ref))["body"] == "Grüße 🙂"
    await upstream.site.advance(LONG_ENOUGH)
    assert [heard.status for heard in upstream.heard] == ["sent", "delivered"]
    assert [list(ours.events(as_call(upstream, heard)).events) for heard in upstream.heard] == [
        [],
        [Receipt(outcome.carrier_ref, Event.DELIVER, None, SID)],
    ]


async def test_a_failure_keeps_its_code(upstream: Surroundings) -> None:
    ours = provider(upstream)
    outcome = await handed(upstream, ours, message(upstream, UNREACHABLE))
    assert isinstance(outcome, Accepted)
    await upstream.site.advance(LONG_ENOUGH)
    heard = ours.events(as_call(upstream, upstream.heard[-1]))
    assert list(heard.events) == [Receipt(outcome.carrier_ref, Event.UNDELIVER, 30003, SID)]


async def test_a_changed_callback_is_not_believed(upstream: Surroundings) -> None:
    ours = provider(upstream)
    assert isinstance(await handed(upstream, ours, message(upstream)), Accepted)
    await upstream.site.advance(LONG_ENOUGH)
    changed = replace(upstream.heard[-1], params=upstream.heard[-1].params | {"MessageStatus": "failed"})
    with pytest.raises(Untrusted):
        ours.events(as_call(upstream, changed))


async def test_media_and_a_messaging_service_go_along(upstream: Surroundings) -> None:
    picture = Attachment("image/png", b"", upstream.media_url)
    ours = provider(upstream, messaging_service_sid=upstream.site.service)
    outcome = await handed(upstream, ours, message(upstream, attachments=(picture,)))
    assert isinstance(outcome, Accepted)
    taken = await upstream.site.customer.fetch(outcome.carrier_ref)
    assert (taken["num_media"], taken["messaging_service_sid"]) == ("1", upstream.site.service)


async def test_a_refusal_and_a_wrong_token_are_told_apart(upstream: Surroundings) -> None:
    nowhere = replace(message(upstream), recipient="+1999")
    assert await handed(upstream, provider(upstream), nowhere) == Refused(21211, "the carrier answered 400")
    locked_out = await handed(upstream, provider(upstream, auth_token="another"), message(upstream))
    assert locked_out == Busy(60 * SECOND, "the carrier did not accept the credentials")
    assert (await upstream.site.customer.list())["messages"] == []


async def test_a_message_in_doubt_is_found_again(upstream: Surroundings) -> None:
    ours, submission = provider(upstream), message(upstream)
    outcome = await handed(upstream, ours, submission)
    await upstream.site.advance(LONG_ENOUGH)
    found = await asked(ours.question(submission, context(upstream)), upstream.site.now)
    assert ours.verdict(submission, found) == outcome
    assert not isinstance(ours.verdict(replace(submission, body="another"), found), Accepted)
