"""Every store: contents are kept as they were put; a message's template stays with it, and goes with its body."""

from typing import Any

from postdate.core.instant import Instant
from postdate.core.message import Options, Status, Template, TemplateButton
from postdate.core.resources import Approval, ApprovalStatus, Content
from postdate.store.contract import Amendment, Store
from tests.store.building import ACCOUNT, START, a_message, add, later, read, sid_of

TYPES: dict[str, dict[str, Any]] = {
    "whatsapp/card": {"body": 'Hi {{1}} "🎉"', "media": ["https://a.example/1.png"], "actions": [{"title": "x"}]},
    "twilio/location": {"latitude": 48.85, "longitude": 2},
    "whatsapp/authentication": {"add_security_recommendation": True, "code_expiration_minutes": 5},
}
TEMPLATE = Template(
    "reminder", "en_US", {"2": "3PM", "1": "Ann's", "name": "🎉"}, {"who": "Ann"}, (TemplateButton(0, "url", "x?y=1"),)
)


async def test_a_content_comes_back_as_it_was_put(store: Store) -> None:
    content = Content(
        sid=sid_of(1, "HX"),
        account_sid=ACCOUNT,
        friendly_name="it's \"quoted\" 🎉 '); DROP TABLE resources; --",
        language="pt_BR",
        variables={"1": "there", "firstName": ""},
        types=TYPES,
        created_at=START,
        updated_at=START,
    )
    await store.put(content)
    assert await store.resources() == [content]
    approval = Approval(
        name="reminder",
        category="UTILITY",
        content_type="whatsapp/card",
        status=ApprovalStatus.REJECTED,
        rejection_reason="No",
    )
    approved = Content(
        sid=content.sid,
        account_sid=ACCOUNT,
        friendly_name="",
        language="en",
        types=TYPES,
        approval=approval,
        created_at=START,
        updated_at=later(START),
    )
    await store.put(approved)
    assert await store.resources() == [approved]
    assert ACCOUNT in repr(approved)
    assert "Hi" not in repr(approved)


async def test_a_template_stays_until_its_message_is_redacted(store: Store) -> None:
    options = Options(content_sid=sid_of(1, "HX"), tags={"a": "b"}, template=TEMPLATE)
    message, other = a_message(options=options), a_message(2, options=options)
    await add(store, message, other)
    assert await read(store, message) == message
    await store.cancel(ACCOUNT, [message.sid], START)
    assert (await read(store, message)).options.template == TEMPLATE
    redacted = await store.amend(ACCOUNT, message.sid, Amendment(redact=True), Instant(START + 1))
    assert redacted is not None
    assert (redacted.status, redacted.body) == (Status.CANCELED, "")
    assert redacted.options == Options(content_sid=sid_of(1, "HX"), tags={"a": "b"})
    assert await read(store, other) == other
