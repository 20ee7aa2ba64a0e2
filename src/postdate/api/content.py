"""Contents, the texts with variables that messages name by ContentSid: `/v1/Content` of Twilio's content API.

Bodies are JSON, spelled as any of Twilio's clients does. They are of the account that signed in; its main account may
look at the approval of a subaccount's content too, and alone may say that Meta approved it.

Ours beside Twilio's: `status` in an approval request. Nobody stands between this node and Meta, so whoever made the
template in Meta's manager says here how it stands there; Meta judges every message again.
"""

import re
from typing import Any

import msgspec

from postdate.api.configuration import dates_iso, owned, sid_for
from postdate.api.endpoint import Answer, Request
from postdate.core.content import read_defaults, template_type
from postdate.core.content_types import read_types, tidied
from postdate.core.errors import Rejected
from postdate.core.instant import Instant
from postdate.core.resources import Approval, ApprovalStatus, Content
from postdate.flow.directory import changed

LONGEST_NAME = 256
CATEGORIES = ("UTILITY", "MARKETING", "AUTHENTICATION")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")


# -- answering ---------------------------------------------------------------------------------------------------------


def content_json(request: Request, content: Content) -> dict[str, Any]:
    """Return the Content resource."""
    url = f"{request.parts.base_url()}/v1/Content/{content.sid}"
    approval = f"{url}/ApprovalRequests"
    return {
        **content_fields(content),
        "url": url,
        "links": {"approval_create": f"{approval}/whatsapp", "approval_fetch": approval},
    }


def content_fields(content: Content) -> dict[str, Any]:
    """Return what all lists of contents show of one."""
    return {
        "sid": content.sid,
        "account_sid": content.account_sid,
        "friendly_name": content.friendly_name,
        "language": content.language,
        "variables": content.variables,
        "types": content.types,
        **dates_iso(content.created_at, content.updated_at),
    }


def approval_json(approval: Approval | None) -> dict[str, Any]:
    """Return how a content's WhatsApp template stands; `unsubmitted` where there is none."""
    if approval is None:
        return {"status": "unsubmitted", "name": "", "category": "", "content_type": "", "rejection_reason": ""}
    return {
        "name": approval.name,
        "category": approval.category,
        "content_type": approval.content_type,
        "status": approval.status,
        "rejection_reason": approval.rejection_reason,
        "allow_category_change": None,  # Meta's manager has it
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent, tidied but for its variables; raise Rejected (20422) where it is none."""
    try:
        given = msgspec.json.decode(request.body, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise Rejected(20422, 'Send a JSON object, such as {"language": "en", "types": {...}}.') from None
    variables = given.pop("variables", None)
    read: dict[str, Any] = tidied(given)
    if variables is not None:
        read["variables"] = read_defaults(variables)
    return read


def _read_name(given: dict[str, Any], before: str) -> str:
    name = given.get("friendly_name", before)
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise Rejected(20001, f"The friendly_name is a text of at most {LONGEST_NAME} characters.")
    return name


def _read_language(given: dict[str, Any], before: str | None) -> str:
    language = given.get("language", before)
    if not language:
        raise Rejected(92003)
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        raise Rejected(92004)
    return language


def _amended(given: dict[str, Any], before: Content, at: Instant) -> Content:
    """Return the content as the request leaves it. What Meta approved is not what is here once the words change."""
    types, language = read_types(given.get("types")), _read_language(given, before.language)
    approval = before.approval
    if approval is not None and (types, language) != (before.types, before.language):
        approval = msgspec.structs.replace(approval, status=ApprovalStatus.RECEIVED, rejection_reason="")
    return changed(
        before,
        friendly_name=_read_name(given, before.friendly_name),
        language=language,
        variables=given.get("variables", before.variables),
        types=types,
        approval=approval,
        updated_at=at,
    )


# -- handlers ----------------------------------------------------------------------------------------------------------


def _found(request: Request) -> Content:
    return owned(request, Content, request.params["sid"], "content")


async def create(request: Request) -> Answer:
    """Make a content."""
    given, directory, at = _read(request), request.parts.directory, request.parts.clock.now()
    content = Content(
        sid=sid_for("HX", at),
        account_sid=request.account.sid,
        friendly_name=_read_name(given, ""),
        language=_read_language(given, None),
        variables=given.get("variables", {}),
        types=read_types(given.get("types")),
        created_at=at,
        updated_at=at,
    )
    async with directory.changing:
        await directory.put(content)
    return Answer(201, content_json(request, content))


async def fetch(request: Request) -> Answer:
    """Return one content."""
    return Answer(200, content_json(request, _found(request)))


async def update(request: Request) -> Answer:
    """Change a content; what is scheduled with it is sent as it was. Its template has to be approved again."""
    directory, at = request.parts.directory, request.parts.clock.now()
    async with directory.changing:
        after = _amended(_read_after_finding(request), _found(request), at)
        await directory.put(after)
    return Answer(200, content_json(request, after))


def _read_after_finding(request: Request) -> dict[str, Any]:
    _found(request)  # whoever has no such content hears that first
    return _read(request)


async def delete(request: Request) -> Answer:
    """Remove a content; what is scheduled with it is sent all the same."""
    directory = request.parts.directory
    async with directory.changing:
        await directory.remove(_found(request).sid)
    return Answer(204)


# -- approval ----------------------------------------------------------------------------------------------------------


def _overseen(request: Request) -> Content:
    """Return the content that the URL names: the account's own, or one of its subaccounts'."""
    directory = request.parts.directory
    content = directory.find(Content, request.params["sid"])
    if content is not None and directory.may_act_on(request.account, content.account_sid) is not None:
        return content
    return _found(request)


async def fetch_approval(request: Request) -> Answer:
    """Return how the content's WhatsApp template stands."""
    content = _overseen(request)
    return Answer(
        200,
        {
            "sid": content.sid,
            "account_sid": content.account_sid,
            "whatsapp": {"type": "whatsapp", **approval_json(content.approval)},
            "url": f"{request.parts.base_url()}/v1/Content/{content.sid}/ApprovalRequests",
        },
    )


async def request_approval(request: Request) -> Answer:
    """Name the template at Meta's that stands for a content; with `status`, say how it stands there."""
    directory, at = request.parts.directory, request.parts.clock.now()
    async with directory.changing:
        content = _overseen(request)
        approval = _approval(request, _read(request), content)
        await directory.put(changed(content, approval=approval, updated_at=at))
    return Answer(201, approval_json(approval))


def _approval(request: Request, given: dict[str, Any], content: Content) -> Approval:
    before, status = content.approval, _read_status(request, given)
    name = given.get("name", before.name if before is not None else None)
    if not isinstance(name, str) or not _TEMPLATE_NAME.fullmatch(name):
        raise Rejected(20001, "The name is the template's at Meta's: up to 512 small letters, digits and _.")
    category = given.get("category", before.category if before is not None else None)
    if category not in CATEGORIES:
        raise Rejected(20001, f"The category must be one of {', '.join(CATEGORIES)}.")
    reason = given.get("rejection_reason", "")
    if not isinstance(reason, str) or len(reason) > LONGEST_NAME:
        raise Rejected(20001, f"The rejection_reason is a text of at most {LONGEST_NAME} characters.")
    return Approval(
        name=name,
        category=category,
        content_type=template_type(content.types),
        status=status,
        rejection_reason=reason if status is ApprovalStatus.REJECTED else "",
    )


def _read_status(request: Request, given: dict[str, Any]) -> ApprovalStatus:
    status = given.get("status")
    if status is None:
        return ApprovalStatus.RECEIVED
    if request.account.owner_sid != request.account.sid:
        raise Rejected(20003, "How a template stands at Meta's is said with the main account's credentials.", 403)
    if status not in list(ApprovalStatus):
        raise Rejected(20001, f"The status must be one of {', '.join(ApprovalStatus)}.")
    return ApprovalStatus(status)
