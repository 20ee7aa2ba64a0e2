"""A message in doubt is settled by hand over the API: `InDoubt=sent|failed|retry`, while it is in doubt."""

import pytest

from postdate.core.instant import HOUR, MINUTE, SECOND
from tests.api.serving import Customer, Site

NEVER_ANSWERED = "+15005550007"


async def doubted(site: Site) -> str:
    """Return the SID of a message that its carrier never answered for."""
    sid = await site.scheduled(To=NEVER_ANSWERED)
    await site.advance(2 * HOUR + MINUTE)
    assert (await site.customer.fetch(sid))["in_doubt"] is True
    return sid


async def resolve(customer: Customer, sid: str, verdict: str) -> tuple[int, object]:
    reply = await customer.on("POST", f"/Messages/{sid}.json", {"InDoubt": verdict})
    return reply.status, reply.json.get("code") if reply.status >= 400 else reply.json["status"]


@pytest.mark.parametrize(
    ("verdict", "status", "in_the_end"),
    [("sent", "sent", "sent"), ("failed", "failed", "failed"), ("retry", "sending", "delivered")],
)
async def test_a_doubt_is_settled_once(site: Site, verdict: str, status: str, in_the_end: str) -> None:
    sid = await doubted(site)
    assert await resolve(site.customer, sid, verdict) == (200, status)
    assert (await site.customer.fetch(sid))["in_doubt"] is False
    assert await resolve(site.customer, sid, "failed") == (409, 20409)
    await site.advance(10 * SECOND)
    found = await site.customer.fetch(sid)
    assert found["status"] == in_the_end
    assert found["error_code"] == (30008 if verdict == "failed" else None)


async def test_only_what_is_in_doubt_ones_own_and_said_in_these_words(site: Site) -> None:
    sid, waiting = await doubted(site), await site.scheduled()
    other = await site.add_account()
    assert await resolve(site.customer, waiting, "sent") == (409, 20409)
    assert await resolve(site.customer, sid, "lost") == (400, 20001)
    assert await resolve(other, sid, "sent") == (404, 20404)
    assert (await site.customer.fetch(sid))["in_doubt"] is True
