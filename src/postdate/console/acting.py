"""How a page does something: by the API's own handlers, so that there is no second way to do a thing.

An action hands its form to the handler that the API's route has, for the account that the page shows. The person's role
was checked before; to the handler it is the account itself that acts, by its auth token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from postdate.api.endpoint import Answer, Handler, Request
from postdate.api.parts import Parts
from postdate.api.twilio import Form
from postdate.core.resources import Account

EMPTY = Form({})
Values = Mapping[str, str | Sequence[str] | None]


def as_form(values: Values) -> Form:
    """Return a form; None takes a parameter out, a list repeats it."""
    given = {name: value for name, value in values.items() if value is not None}
    return Form({name: [value] if isinstance(value, str) else list(value) for name, value in given.items()})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a handler is asked: what stands in the path of its route, in the query and in the form.

    `key` makes a repeat harmless, as the header Idempotency-Key does.
    """

    form: Form = EMPTY
    params: Mapping[str, str] = field(default_factory=dict)
    query: Form = EMPTY
    method: str = "POST"
    path: str = "/"
    key: str = ""


async def act(parts: Parts, actor: Account, account: Account, handler: Handler, asked: Asked) -> Answer:
    """Let the API do something; raise what it raises: Rejected, StoreError."""
    return await handler(
        Request(
            parts=parts,
            method=asked.method,
            path=asked.path,
            params={"account_sid": account.sid, **asked.params},
            headers={b"idempotency-key": asked.key.encode()} if asked.key else {},
            query=asked.query,
            form=asked.form,
            body=b"",
            dotted=True,
            actor=actor,
            account=account,
        )
    )
