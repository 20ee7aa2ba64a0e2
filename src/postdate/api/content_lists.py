"""Lists of contents, and searching them: `/v1/Content`, `/v1/ContentAndApprovals`, `/v1/LegacyContent`, and v2's.

Twilio searches by patterns; here ContentName and Content are looked for as they are, in small letters or great ones.
"""

from collections.abc import Callable, Iterable
from typing import Any

from postdate.api.configuration import all_owned, by_creation, page_v1
from postdate.api.content import approval_json, content_fields, content_json
from postdate.api.endpoint import Answer, Request
from postdate.api.paging import page_of, read_page, v1
from postdate.api.twilio import Form
from postdate.core.content_types import text_of
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, InvalidInstant, parse_date_filter
from postdate.core.resources import Content
from postdate.store.contract import Cursor

_FILTERS = (
    "SortByDate", "SortByContentName", "DateCreatedAfter", "DateCreatedBefore", "ContentName", "Content", "Language",
    "ContentType", "ChannelEligibility",
)  # fmt: skip
_KEY = "contents"


async def list_all(request: Request) -> Answer:
    """Return the account's contents."""
    return page_v1(request, _KEY, all_owned(request, Content), lambda content: content_json(request, content))


async def list_with_approvals(request: Request) -> Answer:
    """Return the account's contents, and how their WhatsApp templates stand."""
    return page_v1(request, _KEY, all_owned(request, Content), _with_approval)


async def list_legacy(request: Request) -> Answer:
    """Return the contents that have a WhatsApp template, by its name."""
    rows = [content for content in all_owned(request, Content) if content.approval is not None]
    return page_v1(request, _KEY, rows, lambda content: _legacy_json(request, content))


def _with_approval(content: Content) -> dict[str, Any]:
    return {**content_fields(content), "approval_requests": approval_json(content.approval)}


def _legacy_json(request: Request, content: Content) -> dict[str, Any]:
    approval = content.approval
    type_name = approval.content_type if approval is not None else ""
    value = content.types.get(type_name)
    return {
        **content_fields(content),
        "legacy_template_name": approval.name if approval is not None else None,
        "legacy_body": text_of(type_name, value) if value is not None else None,
        "url": f"{request.parts.base_url()}/v1/Content/{content.sid}",
    }


# -- searching ---------------------------------------------------------------------------------------------------------


async def search(request: Request) -> Answer:
    """Return the contents that are looked for."""
    return _search(request, lambda content: content_json(request, content))


async def search_with_approvals(request: Request) -> Answer:
    """Return the contents that are looked for, and how their WhatsApp templates stand."""
    return _search(request, _with_approval)


def _search(request: Request, as_json: Callable[[Content], dict[str, Any]]) -> Answer:
    query = request.query
    rows = _sorted(query, (found for found in all_owned(request, Content) if _fits(query, found)))
    page = read_page(query)
    found = page_of(page, rows, _place(query, rows), as_json)
    filters = {name: values for name in _FILTERS if (values := query.all(name))}
    return Answer(200, v1(_KEY, page, found, f"{request.parts.base_url()}{request.path}", filters))


def _sorted(query: Form, rows: Iterable[Content]) -> list[Content]:
    by_date, by_name = query.choice("SortByDate", "asc", "desc"), query.choice("SortByContentName", "asc", "desc")
    found = list(rows)
    if by_date is not None:
        found.sort(key=lambda content: (content.updated_at, content.sid), reverse=by_date == "desc")
    if by_name is not None:
        found.sort(key=lambda content: content.friendly_name.casefold(), reverse=by_name == "desc")
    return found


def _place(query: Form, rows: list[Content]) -> Callable[[Content], Cursor]:
    """Return where a content stands: in a sorted list by its number there, which a change meanwhile may move by one."""
    if query.text("SortByDate") is None and query.text("SortByContentName") is None:
        return by_creation
    numbers = {content.sid: Cursor(Instant(number), content.sid) for number, content in enumerate(rows)}
    return lambda content: numbers[content.sid]


def _fits(query: Form, content: Content) -> bool:
    name, text = query.text("ContentName"), query.text("Content")
    languages, types, eligible = query.all("Language"), query.all("ContentType"), query.all("ChannelEligibility")
    after, before = _day(query, "DateCreatedAfter"), _day(query, "DateCreatedBefore")
    if (after is not None and content.created_at < after[0]) or (
        before is not None and content.created_at >= before[1]
    ):
        return False
    return (
        (name is None or _has(content.friendly_name, name))
        and (text is None or any(_has(text_of(kind, value), text) for kind, value in content.types.items()))
        and (not languages or content.language in languages)
        and (not types or not content.types.keys().isdisjoint(types))
        and (not eligible or f"whatsapp:{approval_json(content.approval)['status']}" in eligible)
    )


def _has(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def _day(query: Form, name: str) -> tuple[Instant, Instant] | None:
    text = query.text(name)
    if text is None:
        return None
    try:
        return parse_date_filter(text)
    except InvalidInstant as error:
        raise Rejected(20001, f"{name}: {error}") from None
