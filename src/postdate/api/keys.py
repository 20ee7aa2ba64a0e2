"""API keys: `/2010-04-01/Accounts/{AC}/Keys`, and `SigningKeys`, Twilio's older name for the same.

A key signs in for its account without the auth token. Its secret is shown once, in the answer that makes it, and kept
as a digest only. A key may not make or read keys.
"""

import secrets
import string
from typing import Any

from postdate.api.configuration import all_owned, dates_rfc2822, owned, page_v2010, read_name, sid_for
from postdate.api.endpoint import Answer, Request, only_with_token
from postdate.core.resources import ApiKey
from postdate.flow.directory import changed, digest_of

_SECRET_LENGTH = 32
_SECRET_LETTERS = string.ascii_letters + string.digits


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {"sid": key.sid, "friendly_name": key.friendly_name, **dates_rfc2822(key)}


def _found(request: Request) -> ApiKey:
    return owned(request, ApiKey, request.params["sid"], "API key")


async def list_all(request: Request) -> Answer:
    """Return the account's keys, without their secrets."""
    only_with_token(request)
    name = "signing_keys" if request.path.endswith("/SigningKeys") else "keys"
    return page_v2010(request, name, all_owned(request, ApiKey), _key_json)


async def create(request: Request) -> Answer:
    """Make a key; this answer is the only one with its secret."""
    only_with_token(request)
    directory, at = request.parts.directory, request.parts.clock.now()
    secret = "".join(secrets.choice(_SECRET_LETTERS) for _ in range(_SECRET_LENGTH))
    key = ApiKey(
        sid=sid_for("SK", at),
        account_sid=request.account.sid,
        friendly_name=read_name(request.form, ""),
        secret_digest=digest_of(secret),
        created_at=at,
        updated_at=at,
    )
    async with directory.changing:
        await directory.put(key)
    return Answer(201, {**_key_json(key), "secret": secret})


async def fetch(request: Request) -> Answer:
    """Return one key, without its secret."""
    only_with_token(request)
    return Answer(200, _key_json(_found(request)))


async def update(request: Request) -> Answer:
    """Rename a key."""
    only_with_token(request)
    directory, at = request.parts.directory, request.parts.clock.now()
    async with directory.changing:
        before = _found(request)
        after = changed(before, friendly_name=read_name(request.form, before.friendly_name), updated_at=at)
        await directory.put(after)
    return Answer(200, _key_json(after))


async def delete(request: Request) -> Answer:
    """Remove a key: from now on it signs nobody in."""
    only_with_token(request)
    directory = request.parts.directory
    async with directory.changing:
        await directory.remove(_found(request).sid)
    return Answer(204)
