"""Store suite: how executions ended, for stores that can say."""

from __future__ import annotations

from typing import Any

import pytest

from aicflow.kernel.ports.executions import Projection
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import dumps
from aicflow.statistics import HOUR, UNKNOWN_DURATION, Ended, Failures, KeepsStatistics, StatisticsStore, group_of
from aicflow.testing.store_samples import NOW, batch, create, start

_START = int(NOW) // HOUR * HOUR
_YEAR = 366 * 86_400.0


def _of(store: Store) -> StatisticsStore:
    if not isinstance(store, KeepsStatistics):
        pytest.skip("this store keeps no statistics")
    return store.statistics


async def _ended(
    store: Store, id: str, after: float, seconds: float, status: Any = "succeeded", workflow: str = "wf_a", **error: Any
) -> None:
    """An execution that ended `after` seconds from the start of the hour, and took so long."""
    at = _START + after
    await start(store.executions, id, workflow=workflow, at=at - seconds)
    report = dumps(error) if error else None
    projection = Projection(status, started_at=at - seconds, finished_at=at, error=report)
    await store.executions.append(id, 1, batch(2, f"execution.{status}"), projection)


def _sorted(found: Any) -> list[Ended]:
    return sorted(found, key=lambda one: (one.start, one.workflow_id, one.status))


class StatisticsCases:
    """Counts by time, workflow and status, whether they were written down or not."""

    async def test_ends_are_counted_by_time_workflow_and_status(self, store: Store) -> None:
        figures = _of(store)
        for number, after in enumerate((0, 59, 60, 125)):
            await _ended(store, f"ex_{number}", after, 1.5)
        await _ended(store, "ex_7", 61, 0.05, "failed", "wf_b", code="boom", node_id="n")
        await start(store.executions, "ex_8", at=_START + 5)  # it has not ended
        found = _sorted(await figures.ended(_START, _START + 180, 60))
        group = group_of(1.5)
        assert found == [
            Ended(_START, "wf_a", "succeeded", 2, {group: 2}),
            Ended(_START + 60, "wf_a", "succeeded", 1, {group: 1}),
            Ended(_START + 60, "wf_b", "failed", 1, {group_of(0.05): 1}),
            Ended(_START + 120, "wf_a", "succeeded", 1, {group: 1}),
        ]
        assert await figures.ended(_START + 180, _START + 360, 60) == []

    async def test_what_ended_before_it_started_took_no_time(self, store: Store) -> None:
        figures = _of(store)
        await create(store.executions, "ex_1", at=float(_START))
        claimed = await store.executions.claim("w1", 1, lease=30.0, at=float(_START))
        projection = Projection("cancelled", started_at=None, finished_at=_START + 5.0)
        await store.executions.append("ex_1", claimed[0].execution.epoch, batch(2, "execution.cancelled"), projection)
        assert await figures.ended(_START, _START + HOUR, HOUR) == [
            Ended(_START, "wf_a", "cancelled", 1, {UNKNOWN_DURATION: 1})
        ]

    async def test_failures_by_node_and_code(self, store: Store) -> None:
        figures = _of(store)
        for number in range(3):
            await _ended(store, f"ex_{number}", number, 1.0, "failed", code="http-status", node_id="fetch")
        await _ended(store, "ex_5", 9, 1.0, "failed", "wf_b", code="execution-timeout")
        await _ended(store, "ex_6", 10, 1.0)
        assert await figures.failures(_START, _START + HOUR) == [
            Failures("wf_a", "fetch", "http-status", 3, "ex_2"),
            Failures("wf_b", None, "execution-timeout", 1, "ex_5"),
        ]
        assert await figures.failures(_START + HOUR, _START + 2 * HOUR) == []

    async def test_hours_that_are_written_down_count_the_same_and_once(self, store: Store) -> None:
        figures = _of(store)
        for number in range(40):
            status = "failed" if number % 5 == 0 else "succeeded"
            workflow = f"wf_{number % 3}"
            await _ended(store, f"ex_{number}", number * 700 - 6 * HOUR, 0.01 * (number + 1), status, workflow)
        since, until = _START - 6 * HOUR, _START + 3 * HOUR
        by_hour = _sorted(await figures.ended(since, until, HOUR))
        whole = _sorted(await figures.ended(since, until, 9 * HOUR))
        assert sum(one.count for one in by_hour) == sum(one.count for one in whole) == 40
        while await figures.roll_up(_START + 10.0, keep=_YEAR):
            pass
        assert _sorted(await figures.ended(since, until, HOUR)) == by_hour
        assert _sorted(await figures.ended(since, until, 9 * HOUR)) == whole
        assert await figures.roll_up(_START + 10.0, keep=_YEAR) == 0

    async def test_what_retention_removed_still_counts(self, store: Store) -> None:
        figures = _of(store)
        for number in range(3):
            await _ended(store, f"ex_{number}", number - 30 * HOUR, 1.0)
        if not await figures.roll_up(NOW, keep=_YEAR):
            pytest.skip("this store writes nothing down")
        before = _sorted(await figures.ended(_START - 48 * HOUR, _START, HOUR))
        await store.maintenance.remove([RetentionRule("succeeded", max_age=float(HOUR))], now=NOW)
        assert _sorted(await figures.ended(_START - 48 * HOUR, _START, HOUR)) == before
        await _ended(store, "ex_9", 1, 1.0)
        while await figures.roll_up(NOW + 2 * HOUR, keep=10.0 * HOUR):
            pass
        left = await figures.ended(_START - 48 * HOUR, _START + HOUR, HOUR)
        assert [(one.start, one.count) for one in left] == [(_START, 1)], "what is older is forgotten"
