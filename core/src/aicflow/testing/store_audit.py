"""Store suite: the audit chain."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from aicflow.kernel.errors import Conflict
from aicflow.kernel.ports.audit import GENESIS, AuditEntry, AuditFilter, PendingAudit, pending_audit
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import dumps
from aicflow.testing.store_samples import NOW, create

_DOCUMENT = {"aicflow": 1, "name": "a", "nodes": [{"id": "a", "type": "core.nothing"}]}


def _entry(number: int, **more: Any) -> AuditEntry:
    body = {"at": f"2026-01-01T00:00:{number:02}Z", "actor": "system", "action": "a", "target": "t", **more}
    return AuditEntry(dumps(body).decode(), None)


class AuditCases:
    """Entries in a chain, with what they tell of or not at all."""

    async def test_each_audit_entry_is_hashed_with_the_one_before(self, store: Store) -> None:
        assert await store.audit.last() is None
        assert (await store.audit.add([_entry(1), _entry(2)])).seq == 2
        last = await store.audit.add([_entry(3)])
        rows = await store.audit.read()
        previous = GENESIS
        for number, row in enumerate(rows, 1):
            previous = sha256(previous + row.body.encode()).digest()
            assert (row.seq, row.hash) == (number, previous)
        assert rows[-1] == last == await store.audit.last()
        assert [row.seq for row in await store.audit.read(after=1, limit=1)] == [2]

    async def test_audit_entries_are_found(self, store: Store) -> None:
        more: tuple[dict[str, Any], ...] = (
            {"actor": "key:a"},
            {"action": "b"},
            {"target": "x"},
            {"made": "x"},
            {"many": ["w", "x"]},
            {"made": "y"},
        )
        await store.audit.add([_entry(at, **one) for at, one in enumerate(more, 1)])

        async def found(**where: Any) -> list[int]:
            return [row.seq for row in (await store.audit.list(AuditFilter(**where), limit=9)).items]

        assert await found() == [6, 5, 4, 3, 2, 1]
        assert await found(actor="key:a") == [1]
        assert await found(action="b") == [2]
        assert await found(target="x") == [5, 4, 3]
        assert await found(since="2026-01-01T00:00:02Z", until="2026-01-01T00:00:04Z") == [3, 2]
        page = await store.audit.list(AuditFilter(), limit=4)
        rest = await store.audit.list(AuditFilter(), limit=4, cursor=page.next_cursor)
        assert ([row.seq for row in rest.items], rest.next_cursor) == ([2, 1], None)
        with pytest.raises(ValueError, match="cursor"):
            await store.audit.list(AuditFilter(), limit=4, cursor="mine")

    async def test_a_write_takes_its_audit_entry_along(self, store: Store) -> None:
        def pending() -> PendingAudit:
            one = PendingAudit(lambda one: _entry(1, made=one.made))
            pending_audit.set(one)
            return one

        def told(one: PendingAudit) -> bool:
            return one.written

        token = pending_audit.set(None)
        try:
            asked = pending()
            await store.workflows.create("wf_a", _DOCUMENT, now=NOW)
            await store.workflows.update("wf_a", now=NOW, enabled=False)
            assert told(asked)
            assert len(await store.audit.read()) == 1, "the first write takes it, later ones find it written"
            asked = pending()
            with pytest.raises(Conflict):
                await store.workflows.create("wf_a", _DOCUMENT, now=NOW)
            assert not told(asked)
            key = Idempotency("api", "k", "")
            assert not (await create(store.executions, "ex_1", idempotency=key)).duplicate
            assert told(asked)
            asked = pending()
            assert (await create(store.executions, "ex_2", idempotency=key)).duplicate
            assert not told(asked)
            assert len(await store.audit.read()) == 2
        finally:
            pending_audit.reset(token)

    async def test_audit_entries_go_from_the_beginning_only(self, store: Store) -> None:
        await store.audit.add([_entry(at) for at in range(1, 6)])
        assert await store.audit.drop(3, _entry(6)) == 3
        assert [row.seq for row in await store.audit.read()] == [4, 5, 6]
        assert (await store.audit.add([_entry(7)])).seq == 7

    async def test_what_is_personal_in_the_audit_can_be_erased(self, store: Store) -> None:
        mine, other = (AuditEntry(_entry(1).body, dumps({"address": one}).decode()) for one in ("10.0.0.1", "10.0.0.2"))
        await store.audit.add([mine, other, _entry(2)])
        before = await store.audit.read()
        assert await store.audit.erase_personal(["10.0.0.1"]) == 1
        after = await store.audit.read()
        assert [row.personal for row in after] == [None, other.personal, None]
        assert [row.hash for row in after] == [row.hash for row in before]
