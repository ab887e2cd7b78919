"""Watching: stored events, then live ones; no gap, no repeat, bounded memory."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import ExecutionFilter

CHAIN = [{"id": f"n{i}", "type": "lab.effect", "params": {"name": f"n{i}"}} for i in range(20)]
EDGES = [f"n{i} > n{i + 1}" for i in range(19)]


async def watch(lab: Any, execution_id: str, after: int = 0, pause: float = 0.0) -> list[dict[str, Any]]:
    seen = []
    async for batch in lab.executions.watch(execution_id, after=after):
        seen.extend(json.loads(event) for event in batch)
        await asyncio.sleep(pause)
    return seen


async def test_many_watchers_at_any_speed_see_everything_once(lab: Any) -> None:
    execution_id = await lab.start(CHAIN, EDGES)
    watchers = [asyncio.create_task(watch(lab, execution_id, after=i % 7, pause=0.002 * (i % 3))) for i in range(30)]
    async with asyncio.timeout(30):
        streams = await asyncio.gather(*watchers)
    last = (await lab.end(execution_id)).last_seq
    for i, stream in enumerate(streams):
        assert [event["seq"] for event in stream] == list(range(i % 7 + 1, last + 1))
        assert stream[-1]["type"] == "execution.succeeded"


async def test_a_watcher_after_the_end_gets_the_whole_story(lab: Any) -> None:
    execution = await lab.run(CHAIN, EDGES)
    assert len(await watch(lab, execution.id)) == execution.last_seq
    assert await watch(lab, execution.id, after=execution.last_seq) == []
    assert await watch(lab, execution.id, after=10_000) == []


async def test_deltas_come_live_and_are_not_kept(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    seen: list[dict[str, Any]] = []

    async def follow() -> None:
        async for batch in lab.executions.watch(execution_id):
            seen.extend(json.loads(event) for event in batch)

    watcher = asyncio.create_task(follow())
    await lab.ledger.entered["hold"].wait()
    while not any(event["type"] == "step.started" for event in seen):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    lab.executions.hub.delta(execution_id, "h", 1, {"progress": 1})
    await asyncio.sleep(0.02)
    lab.ledger.gates["hold"].set()
    await watcher
    deltas = [event for event in seen if event["type"] == "step.delta"]
    assert [delta["data"] for delta in deltas] == [{"progress": 1}]
    assert "step.delta" not in await lab.types(execution_id)


async def test_watching_what_does_not_exist(lab: Any) -> None:
    with pytest.raises(NotFound):
        await watch(lab, "ex_nothing")


async def test_a_watcher_that_leaves_leaves_nothing_behind(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    watcher = asyncio.create_task(watch(lab, execution_id))
    await asyncio.sleep(0.02)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    assert lab.executions.hub._channels == {}
    lab.ledger.gates["hold"].set()
    await lab.end(execution_id)


async def test_the_firehose_filters_and_tells_what_it_lost(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicflow.engine.hub._FIREHOSE", 10)
    one, two = await lab.workflow(CHAIN, EDGES), await lab.workflow(CHAIN[:1])
    everything = lab.executions.watch_all(ExecutionFilter())
    only_two = lab.executions.watch_all(ExecutionFilter(workflow_id=two, statuses=frozenset({"succeeded"})))
    first, second = asyncio.create_task(anext(everything)), asyncio.create_task(anext(only_two))
    await asyncio.sleep(0)
    for workflow in (one, two):
        await lab.end((await lab.executions.start(workflow)).execution_id)
    batch = [json.loads(event) for event in await second]
    assert [event["type"] for event in batch] == ["execution.succeeded"]
    seen = [json.loads(event) for event in await first]
    rest = [json.loads(event) for event in await anext(everything)]
    lost = [event for event in seen + rest if event["type"] == "stream.lost"]
    assert lost
    assert lost[0]["data"]["events"] > 0
    for tap in (everything, only_two):
        await tap.aclose()
    assert not lab.executions.hub._taps
