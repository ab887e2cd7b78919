"""Store suite: files, and which executions hold them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from aicflow.kernel.errors import Conflict, NotFound, StaleClaim
from aicflow.kernel.ports.executions import ItemResult
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import NOW, batch, claim, end, new, start

A, B, C = "a" * 64, "b" * 64, "c" * 64


def _file(sha256: str, *, size: int = 10, at: float = NOW, lifetime: float = 60, place: str = "") -> FileRecord:
    return FileRecord(sha256, size, "text/plain", "notes.txt", at, at + lifetime, place or f"aa/bb/{sha256}.01")


class FileCases:
    """A file is there until it has expired and no execution holds it, not a moment shorter."""

    async def test_a_file_is_kept_and_listed(self, store: Store) -> None:
        for sha256 in (A, B, C):
            assert (await store.files.add(_file(sha256))).executions == 0
        assert await store.files.get(A) == _file(A)
        assert await store.files.total_bytes() == 30
        first = await store.files.list(limit=2)
        rest = await store.files.list(limit=2, cursor=first.next_cursor)
        assert [file.sha256 for page in (first, rest) for file in page.items] == [C, B, A]
        assert rest.next_cursor is None
        with pytest.raises(ValueError, match="cursor"):
            await store.files.list(limit=2, cursor="nonsense")
        with pytest.raises(NotFound):
            await store.files.get("d" * 64)

    async def test_the_same_content_is_one_file(self, store: Store) -> None:
        await store.files.add(_file(A, lifetime=60))
        again = replace(_file(A, lifetime=30, place="other"), name="report.csv", type="text/csv")
        kept = await store.files.add(again)
        assert kept == replace(_file(A), name="report.csv", type="text/csv")
        assert (await store.files.add(replace(again, name=None, type="application/octet-stream"))) == kept
        assert (await store.files.add(_file(A, lifetime=90))).expires_at == NOW + 90
        assert await store.files.total_bytes() == 10
        assert (await store.files.add(again, instead_of="elsewhere")).place == _file(A).place
        assert (await store.files.add(again, instead_of=_file(A).place)).place == "other"

    async def test_a_quota_is_exact(self, store: Store) -> None:
        added = await asyncio.gather(
            *(store.files.add(_file(name * 64, size=40), quota=100) for name in "abcd"), return_exceptions=True
        )
        refused = [one for one in added if isinstance(one, Conflict)]
        assert [one.code for one in refused] == ["files-full", "files-full"]
        assert await store.files.total_bytes() == 80
        await store.files.add(_file(A, size=40), quota=1)  # it is there already

    async def test_a_file_goes_with_its_last_execution(self, store: Store) -> None:
        for sha256 in (A, B, C):
            await store.files.add(_file(sha256))
        await store.executions.create(replace(new("ex_1"), files=[A, B, "d" * 64]))
        await start(store.executions, "ex_2")
        await store.executions.append("ex_2", 1, batch(2, "step.succeeded"), files=[B])
        assert [(await store.files.get(name)).executions for name in (A, B, C)] == [1, 2, 0]
        late = NOW + 1_000
        assert await store.files.expire(now=late) == [_file(C).place]
        for sha256 in (A, B):
            with pytest.raises(Conflict) as caught:
                await store.files.remove(sha256)
            assert caught.value.code == "file-in-use"
        await end(store.executions, "ex_2", seq=3)
        assert await store.maintenance.remove([RetentionRule("succeeded", max_age=0)], now=late) == 1
        assert await store.files.expire(now=late) == []
        await claim(store.executions)
        await end(store.executions, "ex_1")
        assert await store.maintenance.remove([RetentionRule("succeeded", max_age=0)], now=late) == 1
        assert await store.files.expire(now=NOW + 59) == []
        assert sorted(await store.files.expire(now=late)) == [_file(A).place, _file(B).place]
        assert await store.files.total_bytes() == 0

    async def test_a_step_holds_what_it_writes_and_reads(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        assert (await store.files.add(_file(A, lifetime=0), execution_id="ex_1")).executions == 1
        await store.files.add(_file(B, lifetime=0))
        found = await store.files.hold([A, B, C], execution_id="ex_1")
        assert {name: file.executions for name, file in found.items()} == {A: 1, B: 1}
        await store.files.hold([A], execution_id="ex_none")
        await store.files.add(_file(C, lifetime=0), execution_id="ex_none")
        assert await store.files.expire(now=NOW + 1) == [_file(C).place]
        assert (await store.files.get(A)).executions == 1

    async def test_a_file_can_be_kept_for_who_is_about_to_hold_it(self, store: Store) -> None:
        await store.files.add(_file(A, lifetime=10))
        assert set(await store.files.hold([A, B], until=NOW + 100)) == {A}
        assert (await store.files.hold([A], until=NOW + 50))[A].expires_at == NOW + 100
        assert await store.files.hold([]) == {}
        assert await store.files.expire(now=NOW + 99) == []
        assert await store.files.expire(now=NOW + 100) == [_file(A).place]

    async def test_a_refused_append_holds_nothing(self, store: Store) -> None:
        await store.files.add(_file(A))
        await start(store.executions, "ex_1")
        items = [ItemResult("each", 0, True, output=b"1")]
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 7, batch(2, "step.succeeded"), items=items, files=[A])
        assert (await store.files.get(A)).executions == 0
        await store.executions.append("ex_1", 1, batch(2, "step.succeeded"), items=items, files=[A])
        await store.executions.append("ex_1", 1, batch(2, "step.succeeded"), items=items, files=[A])
        assert (await store.files.get(A)).executions == 1

    async def test_a_file_is_removed_and_added_again(self, store: Store) -> None:
        await store.files.add(_file(A))
        assert (await store.files.remove(A)).place == _file(A).place
        with pytest.raises(NotFound):
            await store.files.remove(A)
        await store.files.add(_file(A, place="second"))
        assert await store.files.unknown([_file(A).place, "second", "third"]) == {_file(A).place, "third"}

    async def test_expired_files_go_in_batches(self, store: Store) -> None:
        for number in range(5):
            await store.files.add(_file(f"{number:064x}"))
        assert [len(await store.files.expire(now=NOW + 60, batch=2)) for _ in range(4)] == [2, 2, 1, 0]
