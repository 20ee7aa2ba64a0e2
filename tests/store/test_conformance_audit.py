"""Every store: the audit log of an account is read newest first, page by page, and is nobody else's."""

from typing import Any

import msgspec
import pytest

from postdate.store.contract import AuditQuery, AuditRow, Cursor, Store
from tests.store.building import ACCOUNT, OTHER_ACCOUNT, later, sid_of

HOSTILE = "it's \"quoted\" 🎉 '); DROP TABLE audit; -- \\"


def row(number: int, **changes: object) -> AuditRow:
    """Return what was done in second `number`, with `changes`."""
    made = AuditRow(
        account_sid=ACCOUNT,
        at=later(number),
        sid=sid_of(number, "AU"),
        actor_sid=sid_of(1, "US"),
        actor_name="Ann",
        deed="users.invite",
        subject=sid_of(2, "US"),
        detail=HOSTILE,
        address="127.0.0.1",
        outcome=0,
    )
    return msgspec.structs.replace(made, **changes)


async def test_entries_come_back_as_they_were_added_newest_first(store: Store) -> None:
    await store.add_audit([row(1), row(2, outcome=20001)])
    await store.add_audit([row(3)])
    assert await store.audit(AuditQuery(account_sid=ACCOUNT)) == [row(3), row(2, outcome=20001), row(1)]


async def test_pages_meet_without_a_gap_even_within_one_instant(store: Store) -> None:
    rows = [row(number, at=later(number // 3)) for number in range(10)]
    await store.add_audit(rows)
    seen: list[AuditRow] = []
    before: Cursor | None = None
    while page := await store.audit(AuditQuery(account_sid=ACCOUNT, before=before, limit=3)):
        seen += page
        before = Cursor(page[-1].at, page[-1].sid)
    assert seen == sorted(rows, key=lambda one: (one.at, one.sid), reverse=True)


BOB = {"actor_sid": sid_of(9, "US"), "actor_name": "Bob"}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param({"actor_sid": sid_of(9, "US")}, [3, 1], id="a person"),
        pytest.param({"deed": "keys."}, [3, 2], id="a screen"),
        pytest.param({"deed": "keys.create"}, [3], id="one deed"),
        pytest.param({"deed": "keys.", "actor_sid": sid_of(1, "US")}, [2], id="both"),
        pytest.param({"deed": "key%"}, [], id="no pattern"),
        pytest.param({"account_sid": OTHER_ACCOUNT}, [4], id="another account"),
    ],
)
async def test_filters_leave_what_they_ask_for(store: Store, query: dict[str, Any], numbers: list[int]) -> None:
    await store.add_audit(
        [
            row(0),
            row(1, **BOB),
            row(2, deed="keys.remove"),
            row(3, deed="keys.create", **BOB),
            row(4, account_sid=OTHER_ACCOUNT),
        ]
    )
    found = await store.audit(AuditQuery(**{"account_sid": ACCOUNT, **query}))
    assert [one.sid for one in found] == [sid_of(number, "AU") for number in numbers]
