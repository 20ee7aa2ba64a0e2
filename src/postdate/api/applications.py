"""Applications: `/2010-04-01/Accounts/{AC}/Applications`, named sets of URLs that a message or a number points at.

Postdate carries no calls: what is about voice is accepted, not kept, and shown as null.
"""

from typing import Any

import msgspec

from postdate.api.configuration import (
    all_owned,
    dates_rfc2822,
    owned,
    page_v2010,
    read_name,
    read_url,
    read_webhooks,
    sid_for,
)
from postdate.api.endpoint import Answer, Request
from postdate.api.twilio import API_VERSION
from postdate.core.instant import Instant
from postdate.core.resources import Application, Webhooks
from postdate.flow.directory import changed


def _application_json(application: Application) -> dict[str, Any]:
    hooks = msgspec.structs.asdict(application.webhooks)
    del hooks["sms_application_sid"]
    return {
        "sid": application.sid,
        "account_sid": application.account_sid,
        "friendly_name": application.friendly_name,
        "api_version": API_VERSION,
        "message_status_callback": application.message_status_callback,
        "sms_status_callback": application.message_status_callback,
        **hooks,
        "voice_url": None,
        "voice_method": None,
        "voice_fallback_url": None,
        "voice_fallback_method": None,
        "voice_caller_id_lookup": None,
        "public_application_connect_enabled": False,
        **dates_rfc2822(application),
        "uri": f"/{API_VERSION}/Accounts/{application.account_sid}/Applications/{application.sid}.json",
    }


def _found(request: Request) -> Application:
    return owned(request, Application, request.params["sid"], "application")


def _amended(request: Request, before: Application, at: Instant) -> Application:
    """Return the application as the form leaves it; SmsStatusCallback is the older name of MessageStatusCallback."""
    form = request.form
    callback = read_url(form, "SmsStatusCallback", before.message_status_callback)
    return changed(
        before,
        friendly_name=read_name(form, before.friendly_name),
        message_status_callback=read_url(form, "MessageStatusCallback", callback),
        webhooks=read_webhooks(form, before.webhooks),
        updated_at=at,
    )


async def list_all(request: Request) -> Answer:
    """Return the account's applications."""
    name = request.query.text("FriendlyName")
    rows = [found for found in all_owned(request, Application) if name in (None, found.friendly_name)]
    return page_v2010(request, "applications", rows, _application_json, ("FriendlyName",))


async def create(request: Request) -> Answer:
    """Make an application."""
    directory, at = request.parts.directory, request.parts.clock.now()
    sid = sid_for("AP", at)
    empty = Application(
        sid=sid,
        account_sid=request.account.sid,
        friendly_name=sid,
        webhooks=Webhooks(),
        created_at=at,
        updated_at=at,
    )
    application = _amended(request, empty, at)
    async with directory.changing:
        await directory.put(application)
    return Answer(201, _application_json(application))


async def fetch(request: Request) -> Answer:
    """Return one application."""
    return Answer(200, _application_json(_found(request)))


async def update(request: Request) -> Answer:
    """Change an application; messages that point at it and are not finished follow."""
    directory, at = request.parts.directory, request.parts.clock.now()
    async with directory.changing:
        after = _amended(request, _found(request), at)
        await directory.put(after)
    return Answer(200, _application_json(after))


async def delete(request: Request) -> Answer:
    """Remove an application."""
    directory = request.parts.directory
    async with directory.changing:
        await directory.remove(_found(request).sid)
    return Answer(204)
