"""What numbers, short codes and channel senders have in common: their rate, their connection, their one owner.

Ours beside Twilio's parameters: `Mps` (segments per second, 0 for as fast as the carrier takes them), `Connection` (the
way to the carrier) and `Mms` (whether it carries media). They come back as `mps`, `connection` and the capabilities.
"""

import re
from typing import Any

from postdate.api.configuration import owned, read_flag, read_name, read_webhooks, sid_for
from postdate.api.endpoint import Request
from postdate.api.twilio import Form, shown
from postdate.connectors.kinds import KINDS
from postdate.core.address import SenderKind
from postdate.core.errors import Rejected
from postdate.core.resources import SENDER_PREFIX, Application, Sender, Webhooks
from postdate.core.sender import channel_of
from postdate.flow.directory import changed
from postdate.store.contract import AlreadyExists

MOST_MPS = 100_000
_MPS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,4})?")


def new_sender(request: Request, kind: SenderKind, address: str, country: str, area_code: str | None = None) -> Sender:
    """Return a sender of the account as the form describes it, not kept yet."""
    at, settings = request.parts.clock.now(), request.parts.settings
    plain = Sender(
        sid=sid_for(SENDER_PREFIX[kind], at),
        account_sid=request.account.sid,
        kind=kind,
        address=address,
        friendly_name=address,
        country=country,
        area_code=area_code,
        mps=settings.default_mps,
        connection=settings.default_connection,
        created_at=at,
        updated_at=at,
    )
    return amended(request, plain)


def amended(request: Request, before: Sender) -> Sender:
    """Return a sender as the form leaves it."""
    form = request.form
    return changed(
        before,
        friendly_name=read_name(form, before.friendly_name),
        mps=read_mps(form, before.mps),
        connection=_read_connection(request, before),
        mms=read_flag(form, "Mms", before.mms),
        webhooks=read_webhooks(form, before.webhooks, _read_application(request, before.webhooks)),
        updated_at=request.parts.clock.now(),
    )


async def register(request: Request, sender: Sender) -> None:
    """Keep a new sender; raise Rejected (21422) where its address is somebody's already, without saying whose."""
    directory = request.parts.directory
    try:
        async with directory.changing:
            await directory.put(sender)
    except AlreadyExists:
        raise Rejected(21422, f"{sender.address} is registered already: an address is of one account only.") from None


def found_sender(request: Request, kind: SenderKind, what: str) -> Sender:
    """Return the account's sender of this kind that the URL names; raise Rejected (20404) where it has none."""
    sender = owned(request, Sender, request.params["sid"], what)
    if sender.kind is not kind:
        raise Rejected(20404, f"The {what} {shown(sender.sid)} was not found.")
    return sender


async def update_sender(request: Request, kind: SenderKind, what: str) -> Sender:
    """Change the sender that the URL names, and return it."""
    directory = request.parts.directory
    async with directory.changing:
        after = amended(request, found_sender(request, kind, what))
        await directory.put(after)
    return after


async def remove_sender(request: Request, kind: SenderKind, what: str) -> None:
    """Remove the sender that the URL names, also from its service."""
    directory = request.parts.directory
    async with directory.changing:
        await directory.remove(found_sender(request, kind, what).sid)


def extension_json(sender: Sender) -> dict[str, Any]:
    """Return what we show of a sender beside Twilio's fields."""
    return {"mps": sender.mps, "connection": sender.connection, "messaging_service_sid": sender.service_sid}


def read_mps(form: Form, before: float) -> float:
    """Return the Mps, `before` where it is missing; raise Rejected (20001) where it is no rate."""
    text = form.text("Mps")
    if text is None:
        return before
    if not _MPS.fullmatch(text) or float(text) > MOST_MPS:
        raise Rejected(
            20001,
            f"Mps must be segments per second from 0 (unlimited) to {MOST_MPS}, such as 10 or 0.5, not {shown(text)}.",
        )
    return float(text)


def _read_connection(request: Request, before: Sender) -> str:
    """Return the name of a connection that the node has, that is the account's or its parent's, and fits the sender."""
    name = request.form.text("Connection") or before.connection
    parts = request.parts
    http = () if parts.settings.carrier_url is None else ("http",)
    if name in ("sandbox", *http):
        return name
    found = parts.directory.connection(name)
    if found is None or found.account_sid not in (request.account.sid, request.account.owner_sid):
        raise Rejected(
            20001, f"There is no Connection named {shown(name)}: see `postdate connections list`, or sandbox."
        )
    kind, channel = KINDS.get(found.kind), channel_of(before.address)
    if kind is not None and channel not in kind.channels and name != before.connection:
        raise Rejected(20001, f"The Connection {name} is {kind.title}, which does not carry {channel}.")
    return name


def _read_application(request: Request, before: Webhooks) -> str | None:
    form = request.form
    if "SmsApplicationSid" not in form:
        return before.sms_application_sid
    sid = form.text("SmsApplicationSid")
    if sid is None:
        return None
    found = request.parts.directory.find(Application, sid)
    if found is None or found.account_sid != request.account.sid:
        raise Rejected(21420, f"The SmsApplicationSid {shown(sid)} names no application of this account.")
    return sid
