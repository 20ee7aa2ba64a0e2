"""Entries of the audit log: the API's for changes of the configuration, and the way that the console's are kept too.

Messages are no configuration: who sent one is in the message, and there are too many of them.
"""

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import structlog

from postdate.core.instant import Instant
from postdate.core.resources import Account, ApiKey
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.store.contract import AuditRow, Store, StoreError

DONE = 0
_TRAFFIC = ("messages", "handsets")
_LONGEST_SUBJECT = 34
_ORDER_BYTES = 5
# A frozen test clock gives many entries one instant: the order they came in is in their SIDs.
_order = itertools.count()
_log = structlog.get_logger("postdate.audit")


def deed_of(handler: Callable[..., Any]) -> str | None:
    """Return the audit log's word for what a handler does, such as `api.keys.create`; None for traffic."""
    place = handler.__module__.rpartition(".")[2]
    return None if place in _TRAFFIC else f"api.{place}.{getattr(handler, '__name__', '')}"


def subject_of(json: Any, sid: str) -> str:
    """Return the SID that an answer is about, else the one in the path."""
    told = json.get("sid", sid) if isinstance(json, dict) else sid
    return str(told)[:_LONGEST_SUBJECT]


def entry(at: Instant, account_sid: str, actor: Account | ApiKey, done: tuple[str, str], address: str) -> AuditRow:
    """Return the entry for what was done with an account's token or a key; `done` is the deed and its subject."""
    deed, subject = done
    return AuditRow(
        account_sid=account_sid,
        at=at,
        sid=entry_sid(at),
        actor_sid=actor.sid,
        actor_name=actor.friendly_name,
        deed=deed,
        subject=subject,
        detail="",
        address=address,
        outcome=DONE,
    )


def entry_sid(at: Instant) -> str:
    """Return the SID of a new entry: of two at one instant the later one is greater."""
    chance = next(_order).to_bytes(_ORDER_BYTES, "big") + secrets.token_bytes(CHANCE_BYTES - _ORDER_BYTES)
    return new_sid("AU", at, 0, chance)


async def keep(store: Store, row: AuditRow) -> None:
    """Keep an entry. What was done stays done where it cannot be kept: then the node's log has it."""
    try:
        await store.add_audit([row])
    except StoreError as error:
        _log.error("an entry of the audit log was lost", deed=row.deed, actor=row.actor_sid, reason=str(error))
