"""What need not be kept is removed, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aicflow.engine.files import Files
from aicflow.host import retention
from aicflow.host.audit import Auditor
from aicflow.host.audit_chain import AuditKey
from aicflow.host.housekeeping import Housekeeper, remove_parts, sweep
from aicflow.host.settings import Settings
from aicflow.kernel.errors import StoreUnavailable
from aicflow.kernel.ports.executions import ExecutionFilter, Fire, Idempotency
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.sent import SentEvent
from aicflow.store.contents import FolderContents
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing.store_samples import NOW, create, end, start


class Clock:
    def now(self) -> float:
        return NOW + 100


async def filled(path: Path, many: int) -> SQLiteStore:
    """A store with ended executions and one that runs."""
    store = SQLiteStore(path)
    await store.open()
    for i in range(many):
        await start(store.executions, f"ex_{i:03}", at=NOW - i, input="x" * 5_000)
        await end(store.executions, f"ex_{i:03}", at=NOW - i, status="failed" if i % 4 == 0 else "succeeded")
    await start(store.executions, "ex_running", at=NOW - 1_000_000)
    return store


async def ids(store: SQLiteStore) -> set[str]:
    return {one.id for one in (await store.executions.list(ExecutionFilter(), limit=500)).items}


async def test_a_sweep_removes_by_the_rules_and_shrinks_the_file(tmp_path: Path) -> None:
    store = await filled(tmp_path / "db", 300)
    told: list[int] = []
    await store.maintenance.reclaim_space()  # carries the log over
    before = store.path.stat().st_size
    swept = await sweep(store.maintenance, [RetentionRule("succeeded", max_age=1)], NOW + 100, progress=told.append)
    assert swept.executions == told[-1] == 225
    assert swept.freed_bytes > 0
    left = await ids(store)
    assert "ex_running" in left
    assert len(left) == 76
    assert store.path.stat().st_size < before
    assert await store.maintenance.integrity() == []
    await store.close()


async def test_parts_of_executions_have_ages_of_their_own(tmp_path: Path) -> None:
    store = await filled(tmp_path / "db", 30)
    assert await remove_parts(store.maintenance, {"events": 120, "payloads": 110}, NOW + 100) == 9 + 19
    kept = {one.id: one.removed for one in (await store.executions.list(ExecutionFilter(), limit=500)).items}
    assert [kept[f"ex_{i:03}"] for i in (0, 10, 11, 20, 21)] == [
        *[(), ()], *[("payloads",), ("payloads",)], ("events", "payloads")
    ]  # fmt: skip
    assert kept["ex_running"] == ()
    assert await store.maintenance.integrity() == []
    assert await store.maintenance.repair(now=NOW) == []
    await store.close()


async def test_the_housekeeper_goes_on_when_the_store_is_away(tmp_path: Path) -> None:
    store = await filled(tmp_path / "db", 8)
    calls = 0

    class Away:
        async def remove(self, rules: object, *, now: float, batch: int = 200) -> int:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise StoreUnavailable("It is full.")
            return await store.maintenance.remove(rules, now=now, batch=batch)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(store.maintenance, name)

    for at in (NOW, NOW + 90):
        key = Idempotency("api", f"k{at}", "")
        await create(store.executions, f"ex_{at}", at=at, idempotency=key, fire=Fire("wf_a:hook", key.key))
    rules = [RetentionRule("failed", max_count=0)]
    for event_id, at, ttl in (("ev_old", NOW, 30), ("ev_new", NOW + 90, 30), ("ev_long", NOW, 3_600)):
        await store.sent.send(SentEvent(event_id, "order.paid", "42", None, at, at + ttl))
    await store.sent.done(["ev_old", "ev_new", "ev_long"])
    ages: Any = {"key_age": 50, "fire_age": 200, "events": store.sent, "event_age": 50, "alone": True}
    ages["auditor"] = Auditor(store.audit, AuditKey(b"k" * 32), Clock())
    ages["files"] = Files(store.files, FolderContents(tmp_path / "files"), Clock())
    keeper = Housekeeper(Away(), rules, Clock(), every=0.01, **ages)  # type: ignore[arg-type]
    keeper.start()
    async with asyncio.timeout(10):
        while len(await ids(store)) > 9:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await keeper.stop()
    await keeper.stop()
    assert calls > 1
    # keys go by an age of their own, though nothing removed what they made
    assert await store.idempotency.find("api", f"k{NOW}") is None
    assert await store.idempotency.find("api", f"k{NOW + 90}") is not None
    assert [event.id for event in (await store.sent.list(limit=9)).items] == ["ev_long", "ev_new"]
    assert (await create(store.executions, "ex_again", fire=Fire("wf_a:hook", f"k{NOW}"))).duplicate
    await store.close()


@pytest.mark.parametrize(
    ("age", "count", "made"),
    [
        ("", "", []),
        ("30d", "", [("succeeded", 2_592_000, None), ("failed", 2_592_000, None), ("cancelled", 2_592_000, None)]),
        ("succeeded=1.5h, failed=2w", "", [("succeeded", 5_400, None), ("failed", 1_209_600, None)]),
        ("succeeded=1d", "failed=5", [("succeeded", 86_400, None), ("failed", None, 5)]),
        ("", "0", [("succeeded", None, 0), ("failed", None, 0), ("cancelled", None, 0)]),
    ],
)
def test_what_the_settings_say(age: str, count: str, made: list[tuple[str, float | None, int | None]]) -> None:
    settings = Settings(retention_age=age, retention_count=count)
    assert [(rule.status, rule.max_age, rule.max_count) for rule in settings.retention_rules] == made


@pytest.mark.parametrize("text", ["30", "d", "-1d", "0d", "running=1d", "1d,2d", "succeeded", "failed=", "1e3d", "d30"])
def test_ages_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an age|not a status|twice"):
        retention.ages(text)


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "waiting=3", "²", "failed=1,failed=2"])
def test_counts_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number|not a status|twice"):
        retention.counts(text)
