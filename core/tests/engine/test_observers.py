"""Observers live with the engine, set a context around steps, and cannot harm anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from aicflow import Context, node
from aicflow.engine.plugin import LogFailures
from aicflow.engine.worker.observing import Observers
from aicflow.events import encode_event
from aicflow.ports import Event, Observer
from aicflow.testing.observer_suite import ObserverSuite

span: ContextVar[str] = ContextVar("span", default="none")


class Tracer:
    """Sets a context variable around steps and keeps what happened."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.events_told = 0

    async def start(self) -> None:
        self.told.append("start")

    async def flush(self) -> None:
        self.told.append(f"flush after {self.events_told}")

    async def stop(self) -> None:
        self.told.append("stop")

    def events(self, events: Sequence[Event]) -> None:
        self.events_told += len(events)

    @contextmanager
    def step(self, ctx: Context) -> Iterator[None]:
        token = span.set(f"{ctx.node_id}/{ctx.attempt}")
        try:
            yield
        except ValueError:
            self.told.append(f"{ctx.node_id} raised")
            raise
        finally:
            span.reset(token)


class Broken:
    """Raises wherever it can."""

    async def start(self) -> None:
        return

    async def flush(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        raise OSError("stop")

    def events(self, events: Sequence[Event]) -> None:
        raise OSError("events")

    def step(self, ctx: Context) -> Any:
        raise OSError("step")


class TestTracer(ObserverSuite):
    @pytest.fixture
    def observer(self) -> Observer:
        return Tracer()


class TestLogFailures(ObserverSuite):
    @pytest.fixture
    def observer(self) -> Observer:
        return LogFailures()


@node("lab.span")
async def in_loop() -> str:
    """Where it runs."""
    return span.get()


@node("lab.span_in_thread")
def in_thread() -> str:
    """Where it runs, in a thread."""
    return span.get()


async def test_a_context_is_around_steps_in_the_loop_and_in_threads(lab: Any) -> None:
    tracer = Tracer()
    for cls in (in_loop, in_thread):
        lab.registry.register(cls)
    lab.observers = [Broken(), tracer]
    engine = lab.make()
    await lab.executions.close()
    lab.executions = engine
    await engine.open()
    nodes = [
        {"id": "a", "type": "lab.span"},
        {"id": "b", "type": "lab.span_in_thread"},
        {"id": "c", "type": "lab.span", "timeout": 9},
        {"id": "d", "type": "lab.bad", "params": {"what": "value"}, "on_error": "continue"},
    ]
    output = {name: f"${{{{ nodes.{name}.output }}}}" for name in "abc"}
    execution = await lab.run(nodes, output=output)
    assert execution.output == {"a": "a/1", "b": "b/1", "c": "c/1"}, execution.error
    assert tracer.told == ["start", "d raised"]


async def test_the_end_is_bounded_and_what_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    tracer, broken = Tracer(), Broken()
    observers = Observers([broken, tracer], seconds=0.05)
    await observers.start()
    event = encode_event(1, 1.0, "execution.queued", "ex_1")
    observers.committed([event] * 3)
    await observers.stop()
    assert tracer.told == ["start", "flush after 3", "stop"]
    told = [message.partition(" of observer")[0] for message in caplog.messages if "of observer" in message]
    assert told == ["flush", "stop"]


async def test_who_cannot_start_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Unready(Tracer):
        async def start(self) -> None:
            raise OSError("no collector")

    unready, tracer = Unready(), Tracer()
    observers = Observers([unready, tracer])
    await observers.start()
    observers.committed([encode_event(1, 1.0, "execution.queued", "ex_1")])
    await observers.stop()
    assert (unready.events_told, tracer.events_told) == (0, 1)
    assert "start of observer" in caplog.text


async def test_an_observer_is_told_of_the_types_it_wants() -> None:
    class Failures(Tracer):
        types = frozenset({"execution.failed"})

    queued, failed = (encode_event(1, 1.0, kind, "ex_1") for kind in ("execution.queued", "execution.failed"))
    for others in ([], [Tracer()]):
        failures = Failures()
        observers = Observers([failures, *others])
        await observers.start()
        observers.committed([queued, failed, queued])
        await observers.stop()
        assert failures.events_told == 1
        assert [other.events_told for other in others] == [3] * len(others)
