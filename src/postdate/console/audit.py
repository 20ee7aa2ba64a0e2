"""What the audit log is told: every change made through the console, who made it, on what, and what came of it."""

import secrets

import structlog

from postdate.console.view import View
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.store.contract import AuditRow, StoreError

LONGEST_DETAIL = 200
DONE = 0
_log = structlog.get_logger("postdate.console")


async def keep(view: View, deed: str, outcome: int = DONE) -> None:
    """Keep what the viewer did; `outcome` is the error code where it was rejected.

    Nobody's deeds are not kept, or whoever guesses names could fill the disk. What was done stays done where its entry
    cannot be written: that goes to the log.
    """
    if not view.user.sid or not view.account.sid:
        return
    at = view.now
    row = AuditRow(
        account_sid=view.account.sid,
        at=at,
        sid=new_sid("AU", at, 0, secrets.token_bytes(CHANCE_BYTES)),
        actor_sid=view.user.sid,
        actor_name=view.user.name,
        deed=deed,
        subject=view.about or str(view.params.get("sid", ""))[:34],
        detail=view.detail[:LONGEST_DETAIL],
        address=view.address,
        outcome=outcome,
    )
    try:
        await view.parts.store.add_audit([row])
    except StoreError as error:
        _log.error("an entry of the audit log was lost", deed=deed, actor=view.user.sid, reason=str(error))
