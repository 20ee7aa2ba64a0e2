"""The way back into the console for an owner who lost the password: `/postdate/v1/Console/Link`.

Who has an account's auth token owns the account: a new one-time link lets that person choose a password.
"""

from postdate.api.endpoint import Answer, Request, only_with_token


async def make_link(request: Request) -> Answer:
    """Return a new one-time link for the account's owner; one made before is no longer good."""
    only_with_token(request)
    return Answer(201, {"account_sid": request.account.sid, "url": request.parts.console_link(request.account.sid)})
