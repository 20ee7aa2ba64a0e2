"""Our request as Twilio's own description of its API sees it: Prism, in a process of its own, answers as it says.

It takes a while to start, so one serves all tests here. Where it or the description is missing, these are skipped.
"""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest

from postdate.connectors.providers.contract import Request
from postdate.connectors.providers.twilio import Settings, Twilio
from postdate.core.outcome import Accepted, Busy, InDoubt
from postdate.core.sid import is_sid
from tests.connectors.providers.building import context, submission
from tests.connectors.providers.prism import DESCRIPTIONS, asked, needs, serving

DESCRIPTION = DESCRIPTIONS / "twilio_api_v2010.json"
pytestmark = needs(DESCRIPTION)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """The URL of a Prism that all tests here share."""
    with serving(DESCRIPTION) as url:
        yield url


def provider(base_url: str) -> Twilio:
    """Ours, with Prism for Twilio."""
    return Twilio(Settings(account_sid="AC" + "a" * 32, auth_token="token", base_url=base_url))


def posted(base_url: str) -> Request:
    """Our request, but without media: Prism reads no list in a form, which Twilio's own libraries send just so."""
    settings = Settings(
        account_sid="AC" + "a" * 32, auth_token="token", messaging_service_sid="MG" + "b" * 32, base_url=base_url
    )
    request = Twilio(settings).request(submission(), context())
    assert isinstance(request, Request)
    return request


async def test_what_we_post_fits(base_url: str) -> None:
    answer = await asked(posted(base_url))
    assert answer.status == 201, answer.body
    outcome = provider(base_url).outcome(submission(), answer)
    assert isinstance(outcome, Accepted)
    assert is_sid(outcome.carrier_ref, "SM")


async def test_without_a_recipient_it_does_not_fit(base_url: str) -> None:
    request = posted(base_url)
    fields = [(name, value) for name, value in parse_qsl((request.body or b"").decode()) if name != "To"]
    answer = await asked(replace(request, body=urlencode(fields).encode()))
    assert answer.status == 422
    # Prism's words, not Twilio's: no code of Twilio's, so nothing is concluded.
    assert isinstance(provider(base_url).outcome(submission(), answer), InDoubt)


async def test_without_credentials_nobody_is_let_in(base_url: str) -> None:
    request = posted(base_url)
    headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
    answer = await asked(replace(request, headers=headers))
    assert answer.status == 401
    assert isinstance(provider(base_url).outcome(submission(), answer), Busy)


async def test_what_we_ask_fits_and_is_read(base_url: str) -> None:
    answer = await asked(provider(base_url).question(submission(), context()))
    assert answer.status == 200, answer.body
    # The list of the description's example holds other messages than ours.
    assert isinstance(provider(base_url).verdict(submission(), answer), InDoubt)
