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
from postdate.core.callback_form import StatusChange
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


def change_of(row: CallbackRow) -> StatusChange:
    """Return what is told."""
    return StatusChange(
        row.account_sid, row.message_sid, row.status, row.recipient, row.sender, row.service_sid, row.error_code
    )


def called_of(row: CallbackRow, form: str, began: Instant, ended: Instant, result: CallbackResult) -> Called:
    """Return what is kept of an attempt: nothing of it that could sign in anywhere."""
    code, fault, answer = shown_result(result)
    return Called(
        0, began, row.account_sid, row.message_sid, row.status, _shown_url(row.url), row.attempts + 1,
        ended - began, code, fault, shown_request(form), answer,
    )  # fmt: skip
