"""What the tests of HTTP providers are built from: one submission, its context, answers and calls."""

import json
from collections.abc import Mapping

from hypothesis import strategies as st

from postdate.connectors.contract import Attachment, Submission
from postdate.connectors.providers.contract import Answer, Call, Context
from postdate.core.address import Channel
from postdate.core.instant import HOUR, Instant, parse_instant

NOW = parse_instant("2030-01-01T12:00:00Z")
SID = "SM00000000000000000000000000000001"
EXPIRES = Instant(NOW + 4 * HOUR)
SENDER = "+15550001111"
RECIPIENT = "+15550002222"
EVENTS_URL = "https://node.example/events/k?sid=SM00000000000000000000000000000001&mac=ab12"
PICTURE = Attachment("image/png", b"\x89PNG", "https://node.example/media/ab12.png")


def submission(
    *,
    sid: str = SID,
    sender: str = SENDER,
    recipient: str = RECIPIENT,
    channel: Channel = Channel.SMS,
    body: str = 'Grüße "🙂"',
    expires_at: Instant = EXPIRES,
    attachments: tuple[Attachment, ...] = (),
) -> Submission:
    """One message to hand over at NOW, which may be handed over for four hours."""
    return Submission(sid, 1, sender, recipient, channel, body, 1, NOW, expires_at, attachments)


def context(*, at: Instant = NOW, token: str | None = None) -> Context:
    """The context of a request at NOW, with chance that is none."""
    return Context(at, bytes(range(16)), EVENTS_URL, token)


def answer(status: int, body: object = b"", headers: Mapping[str, str] | None = None, at: Instant = NOW) -> Answer:
    """An answer; a body that is not bytes is written as JSON."""
    return Answer(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), at)


def call(
    body: object = b"",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    query: tuple[tuple[str, str], ...] = (),
    at: Instant = NOW,
    sid: str | None = None,
    documents: Mapping[str, bytes] | None = None,
) -> Call:
    """A carrier's call to EVENTS_URL; a body that is not bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(method, EVENTS_URL, query, headers or {}, raw, at, sid, documents or {})


def json_of(*names: str) -> st.SearchStrategy[bytes]:
    """JSON of any shape whose objects have these names, and bytes that are no JSON: what an enemy may send."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(names)
    shapes = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=6),
        max_leaves=15,
    )
    return st.binary(max_size=64) | shapes.map(lambda shape: json.dumps(shape).encode())
