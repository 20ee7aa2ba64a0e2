"""What the audit log is told: every change made through the console, who made it, on what, and what came of it."""

from postdate.api import audit
from postdate.console.view import View
from postdate.store.contract import AuditRow

LONGEST_DETAIL = 200


async def keep(view: View, deed: str, outcome: int = audit.DONE) -> None:
    """Keep what the viewer did; `outcome` is the error code where it was rejected.

    Nobody's deeds are not kept, or whoever guesses names could fill the disk.
    """
    if not view.user.sid or not view.account.sid:
        return
    at = view.now
    row = AuditRow(
        account_sid=view.account.sid,
        at=at,
        sid=audit.entry_sid(at),
        actor_sid=view.user.sid,
        actor_name=view.user.name,
        deed=deed,
        subject=view.about or audit.subject_of(None, str(view.params.get("sid", ""))),
        detail=view.detail[:LONGEST_DETAIL],
        address=view.address,
        outcome=outcome,
    )
    await audit.keep(view.parts.store, row)
