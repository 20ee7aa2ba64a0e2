"""What the handlers of all configured resources share: finding the account's own, names, URLs, dates, and lists.

A change reads, checks and writes under `directory.changing`, so that of two requests at once the second sees what the
first did. In an update a parameter that is missing changes nothing, and an empty one takes a URL away.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from postdate.api.endpoint import Answer, Request
from postdate.api.paging import page_of, read_page, v1, v2010
from postdate.api.twilio import Form, shown
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, format_iso, format_rfc2822
from postdate.core.resources import Account, ApiKey, Application, Connection, Content, Sender, Service, Webhooks
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.store.contract import Cursor

LONGEST_NAME = 64
Owned = TypeVar("Owned", ApiKey, Application, Connection, Content, Sender, Service)
Dated = Account | ApiKey | Application | Connection | Content | Sender | Service


def owned(request: Request, kind: type[Owned], sid: str, what: str) -> Owned:
    """Return the account's resource with this SID; raise Rejected (20404) where it has none."""
    found = request.parts.directory.find(kind, sid)
    if found is None or found.account_sid != request.account.sid:
        raise Rejected(20404, f"The {what} {shown(sid)} was not found.")
    return found


def all_owned(request: Request, kind: type[Owned]) -> list[Owned]:
    """Return all resources of a kind that the account has, by date created."""
    return [found for found in request.parts.directory.every(kind) if found.account_sid == request.account.sid]


def sid_for(prefix: str, at: Instant) -> str:
    """Return a new SID; configuration is in every bucket, so it names none."""
    return new_sid(prefix, at, 0, secrets.token_bytes(CHANCE_BYTES))


# -- reading ---------------------------------------------------------------------------------------------------------


def read_name(form: Form, before: str) -> str:
    """Return the FriendlyName, `before` where it is missing; raise Rejected (20002) where it is too long."""
    name = form.one("FriendlyName")
    if name is None:
        return before
    if len(name) > LONGEST_NAME:
        raise Rejected(20002, f"The FriendlyName has {len(name)} characters; it may have {LONGEST_NAME}.")
    return name


def read_flag(form: Form, name: str, before: bool) -> bool:
    """Return a boolean, `before` where it is missing."""
    flag = form.flag(name)
    return before if flag is None else flag


def read_url(form: Form, name: str, before: str | None) -> str | None:
    """Return a URL, `before` where it is missing, None where it is empty; raise Rejected (21402) where it is none."""
    return form.url(name, 21402) if name in form else before


def read_method(form: Form, name: str, before: str) -> str:
    """Return GET or POST, `before` where it is missing; raise Rejected (21403) where it is another."""
    return form.choice(name, "GET", "POST", code=21403) or before


def read_webhooks(form: Form, before: Webhooks, application_sid: str | None = None) -> Webhooks:
    """Return the URLs and their methods as the form leaves them, with the application that stands in for them."""
    return Webhooks(
        sms_url=read_url(form, "SmsUrl", before.sms_url),
        sms_method=read_method(form, "SmsMethod", before.sms_method),
        sms_fallback_url=read_url(form, "SmsFallbackUrl", before.sms_fallback_url),
        sms_fallback_method=read_method(form, "SmsFallbackMethod", before.sms_fallback_method),
        sms_application_sid=application_sid,
        status_callback=read_url(form, "StatusCallback", before.status_callback),
        status_callback_method=read_method(form, "StatusCallbackMethod", before.status_callback_method),
    )


# -- answering -------------------------------------------------------------------------------------------------------


def dates_rfc2822(resource: Dated) -> dict[str, str]:
    """Return when a resource was made and changed, as the API of 2010 writes it."""
    return {
        "date_created": format_rfc2822(resource.created_at),
        "date_updated": format_rfc2822(resource.updated_at),
    }


def dates_iso(created_at: Instant, updated_at: Instant) -> dict[str, str]:
    """Return when a resource was made and changed, as the messaging API writes it."""
    return {"date_created": format_iso(created_at), "date_updated": format_iso(updated_at)}


def by_creation(resource: Dated) -> Cursor:
    """Return the place of a resource in a list."""
    return Cursor(resource.created_at, resource.sid)


def _given(request: Request, filters: Sequence[str]) -> dict[str, str]:
    return {name: value for name in filters if (value := request.query.text(name)) is not None}


def page_v2010(
    request: Request, key: str, rows: Sequence[Any], as_json: Callable[[Any], Any], filters: Sequence[str] = ()
) -> Answer:
    """Return the page of `rows` that is asked for, in the shape of 2010; `filters` are kept in its links."""
    page = read_page(request.query)
    found = page_of(page, rows, by_creation, as_json)
    return Answer(200, v2010(key, page, found, f"{request.path}.json", _given(request, filters)))


def page_v1(
    request: Request,
    key: str,
    rows: Sequence[Any],
    as_json: Callable[[Any], Any],
    place: Callable[[Any], Cursor] = by_creation,
    filters: Sequence[str] = (),
) -> Answer:
    """Return the page of `rows` that is asked for, in the shape of the messaging API, with absolute links."""
    page = read_page(request.query)
    found = page_of(page, rows, place, as_json)
    url = f"{request.parts.base_url()}{request.path}"
    return Answer(200, v1(key, page, found, url, _given(request, filters)))
