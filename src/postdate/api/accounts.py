"""Accounts, their subaccounts and balance: `/2010-04-01/Accounts`.

An account sees itself and its subaccounts; a subaccount has none of its own, and its parent alone changes its status.
An API key may do none of this, for who has a key must not be able to read the auth token with it.
"""

import secrets
from typing import Any

from postdate.api.configuration import dates_rfc2822, page_v2010, read_name, sid_for
from postdate.api.endpoint import Answer, Request, only_with_token
from postdate.api.twilio import API_VERSION
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, format_iso
from postdate.core.resources import Account, AccountStatus
from postdate.flow.directory import changed

_TOKEN_BYTES = 16
# Twilio's names for what is below an account, and where it is; clients follow these, whether it is served here or not.
_SUBRESOURCES = {
    "addresses": "Addresses",
    "applications": "Applications",
    "authorized_connect_apps": "AuthorizedConnectApps",
    "available_phone_numbers": "AvailablePhoneNumbers",
    "balance": "Balance",
    "calls": "Calls",
    "conferences": "Conferences",
    "connect_apps": "ConnectApps",
    "incoming_phone_numbers": "IncomingPhoneNumbers",
    "keys": "Keys",
    "messages": "Messages",
    "notifications": "Notifications",
    "outgoing_caller_ids": "OutgoingCallerIds",
    "queues": "Queues",
    "recordings": "Recordings",
    "short_codes": "SMS/ShortCodes",
    "signing_keys": "SigningKeys",
    "sip": "SIP",
    "transcriptions": "Transcriptions",
    "usage": "Usage",
}


def _account_json(request: Request, account: Account) -> dict[str, Any]:
    uri = f"/{API_VERSION}/Accounts/{account.sid}"
    return {
        "sid": account.sid,
        "owner_account_sid": account.owner_sid,
        "friendly_name": account.friendly_name,
        "status": account.status,
        "type": "Full",
        "auth_token": request.parts.directory.token_of(account.sid),
        **dates_rfc2822(account),
        "uri": f"{uri}.json",
        "subresource_uris": {name: f"{uri}/{path}.json" for name, path in _SUBRESOURCES.items()},
    }


async def list_all(request: Request) -> Answer:
    """Return the account and its subaccounts."""
    only_with_token(request)
    query, actor = request.query, request.actor
    name, status = query.text("FriendlyName"), query.choice("Status", *AccountStatus)
    rows = [
        account
        for account in request.parts.directory.every(Account)
        if actor.sid in (account.sid, account.owner_sid)
        and name in (None, account.friendly_name)
        and status in (None, account.status)
    ]
    return page_v2010(request, "accounts", rows, lambda a: _account_json(request, a), ("FriendlyName", "Status"))


async def create(request: Request) -> Answer:
    """Make a subaccount, with an auth token of its own."""
    only_with_token(request)
    actor, directory, at = request.actor, request.parts.directory, request.parts.clock.now()
    if actor.owner_sid != actor.sid:
        raise Rejected(20006, "A subaccount has no subaccounts: make one with the credentials of its parent.")
    account = Account(
        sid=sid_for("AC", at),
        owner_sid=actor.sid,
        friendly_name=read_name(request.form, "") or _default_name(at),
        sealed_token=directory.seal(secrets.token_hex(_TOKEN_BYTES)),
        created_at=at,
        updated_at=at,
    )
    async with directory.changing:
        await directory.put(account)
    return Answer(201, _account_json(request, account))


def _default_name(at: Instant) -> str:
    return f"SubAccount created at {format_iso(at)[:16].replace('T', ' ')}"


async def fetch(request: Request) -> Answer:
    """Return the account or one of its subaccounts."""
    only_with_token(request)
    return Answer(200, _account_json(request, request.account))


async def update(request: Request) -> Answer:
    """Rename an account; suspend, close or activate a subaccount."""
    only_with_token(request)
    form, directory, at = request.form, request.parts.directory, request.parts.clock.now()
    status = form.choice("Status", *AccountStatus, code=21475)
    async with directory.changing:
        before = directory.find(Account, request.account.sid) or request.account
        if status is not None and status != before.status:
            _check_status_change(request, before)
        after = changed(
            before,
            friendly_name=read_name(form, before.friendly_name),
            status=AccountStatus(status or before.status),
            updated_at=at,
        )
        await directory.put(after)
    return Answer(200, _account_json(request, after))


def _check_status_change(request: Request, account: Account) -> None:
    if account.owner_sid == account.sid:
        raise Rejected(21477)
    if account.sid == request.actor.sid:
        raise Rejected(20006, "The status of a subaccount is changed with the credentials of its parent.")
    if account.status is AccountStatus.CLOSED:
        raise Rejected(21479)


async def balance(request: Request) -> Answer:
    """Return a balance of nothing: the carriers send their bills themselves."""
    return Answer(200, {"account_sid": request.account.sid, "balance": "0.00", "currency": "USD"})
