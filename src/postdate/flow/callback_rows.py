"""What a row of the outbox says: where its call goes, how long it may take, what it tells, what is kept of it."""

import re
from functools import lru_cache

from postdate.core.call_shown import shown_request, shown_result
from postdate.core.callback import (
    CallbackPolicy,
    CallbackResult,
    InvalidCallbackUrl,
    parse_overrides,
    split_credentials,
)
from postdate.core.callback_form import StatusChange, sign_text, status_form
from postdate.core.instant import Instant
from postdate.store.contract import CallbackRow, Called

_KNOWN_URLS = 4_096


@lru_cache(maxsize=_KNOWN_URLS)
def server_of(url: str) -> str:
    """Return the beginning of a URL up to its path: calls to one server share its places."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"


@lru_cache(maxsize=_KNOWN_URLS)
def policy_of(url: str) -> CallbackPolicy | None:
    """Return what the URL asks for behind its #; None where that cannot be read."""
    try:
        return parse_overrides(url)
    except InvalidCallbackUrl:
        return None


@lru_cache(maxsize=_KNOWN_URLS)
def _shown_url(url: str) -> str:
    return split_credentials(url)[0]


def request_of(row: CallbackRow, token: str) -> tuple[str, dict[str, str]]:
    """Return what is told of a status: the form, and the headers of ours beside it."""
    change = StatusChange(
        row.account_sid, row.message_sid, row.status, row.recipient, row.sender, row.service_sid, row.error_code
    )
    form, signed = status_form(change)
    return form, {"X-Twilio-Signature": sign_text(row.url, signed, token), "I-Twilio-Idempotency-Token": row.id}


def called_of(row: CallbackRow, form: str, began: Instant, ended: Instant, result: CallbackResult) -> Called:
    """Return what is kept of an attempt: nothing of it that could sign in anywhere."""
    code, fault, answer = shown_result(result)
    return Called(
        0, began, row.account_sid, row.message_sid, row.status, _shown_url(row.url), row.attempts + 1,
        ended - began, code, fault, shown_request(form), answer,
    )  # fmt: skip
