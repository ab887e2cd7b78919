"""Store suite: writes whose answer was lost, and which are written again."""

from __future__ import annotations

from typing import Any

import pytest

from aicflow.engine import EngineOptions
from aicflow.host.wiring import installed_plugins, make_executions
from aicflow.kernel.errors import StaleClaim, StoreUnavailable
from aicflow.kernel.ports.executions import Appended, Fire, Idempotency
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import LEASE, NOW, batch, create, end, new, numbers, start


class _LosesAnswers:
    """The parts of a store, or the store, behind a connection that breaks after every second append was committed."""

    def __init__(self, real: Any, count: list[int] | None = None) -> None:
        self._real = real
        self.lost = [0, 0] if count is None else count

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._real, name)
        return _LosesAnswers(part, self.lost) if name == "executions" else part

    async def append(self, *args: Any, **more: Any) -> Appended:
        done: Appended = await self._real.append(*args, **more)
        self.lost[0] += 1
        if self.lost[0] % 2:
            self.lost[1] += 1
            raise StoreUnavailable("The connection was lost after the commit.")
        return done


class RepeatCases:
    """The same write twice is one write."""

    async def test_a_repeated_create_is_one_execution(self, store: Store) -> None:
        key, fire = Idempotency("executions", "k", "print"), Fire("wf_a:hook", "k", "d_1")
        large = {"text": "x" * 5_000}
        for id, more in (
            ("ex_1", {}),
            ("ex_2", {"idempotency": key}),
            ("ex_3", {"fire": fire}),
            ("ex_4", {"input": large}),
        ):
            first = await store.executions.create(new(id, **more), worker="w1", lease=LEASE, at=NOW)
            again = await store.executions.create(new(id, **more), worker="w1", lease=LEASE, at=NOW)
            assert (first.execution_id, first.epoch, first.duplicate) == (id, 1, False)
            assert again == first
        assert not (await create(store.executions, "ex_5")).epoch
        assert await create(store.executions, "ex_5") == await create(store.executions, "ex_5")

    async def test_a_repeated_append_is_written_once(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        for _ in range(2):
            await executions.append("ex_1", 1, batch(2, "step.started", "step.succeeded"), outputs={"a": b"1"})
        with pytest.raises(StaleClaim):
            await executions.append("ex_1", 1, batch(2, "step.started", "step.failed"))
        with pytest.raises(StaleClaim):
            await executions.append("ex_1", 2, batch(2, "step.started", "step.succeeded"))
        for _ in range(2):
            await end(executions, "ex_1", seq=4)
        assert numbers(await executions.events("ex_1")) == [1, 2, 3, 4]
        assert (await executions.get("ex_1")).status == "succeeded"

    async def test_an_execution_goes_on_though_answers_are_lost(self, store: Store) -> None:
        document = {
            "aicflow": 1,
            "name": "naps",
            "nodes": [{"id": f"nap_{i}", "type": "wait", "params": {"seconds": 0.05}} for i in range(5)],
            "edges": [{"from": f"nap_{i}", "to": f"nap_{i + 1}"} for i in range(4)],
        }
        await store.workflows.create("wf", document, now=NOW)
        lossy: Any = _LosesAnswers(store)
        executions = make_executions(installed_plugins(), lossy, EngineOptions(engine="native", grace=0.5))
        await executions.open()
        started = await executions.start("wf")
        ended = await executions.wait(started.execution_id, 20.0)
        await executions.close()
        assert lossy.lost[1] > 0
        assert ended is not None
        assert (ended.status, ended.epoch) == ("succeeded", 1)
        events = await store.executions.events(started.execution_id)
        assert numbers(events) == list(range(1, len(events) + 1))
