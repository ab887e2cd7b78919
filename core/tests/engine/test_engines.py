"""Every engine passes the one conformance suite, and `auto` takes LangGraph where that is wanted."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from aicflow.engine.auto import AutoEngine, LaterEngine
from aicflow.engine.native import NativeEngine
from aicflow.testing.engine_suite import EngineSuite, plan_of


def langgraph() -> Any:
    from aicflow.engine.langgraph import LangGraphEngine  # where it is not installed, `auto` does without it

    return LangGraphEngine()


class TestNativeEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> NativeEngine:
        return NativeEngine()


class TestLangGraphEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> Any:
        pytest.importorskip("langgraph")
        return langgraph()


class TestAutoEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> AutoEngine:
        return AutoEngine(langgraph)


@pytest.mark.parametrize("tracing", [False, True])
@pytest.mark.parametrize("tasked", [False, True])
async def test_auto_takes_langgraph_for_tasks_and_for_tracing(
    tasked: bool, tracing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", str(tracing).lower())
    made: list[NativeEngine] = []
    stepped: list[int] = []

    def make() -> NativeEngine:
        made.append(NativeEngine())
        return made[-1]

    async def step(index: int) -> tuple[str]:
        stepped.append(index)
        return ("main",)

    engine = AutoEngine(make)
    plan = plan_of(["a > b"], tasked="b" if tasked else ())
    for _ in range(2):
        await engine.run(plan.graph, step, lambda index: None, thread_id="t", tasks=plan.tasks)
    assert stepped == [0, 1, 0, 1]
    assert len(made) == (tasked or tracing), "it is made once, and only when it is wanted"


async def test_auto_walks_by_itself_where_langgraph_is_not_installed() -> None:
    def make() -> NativeEngine:
        raise ModuleNotFoundError("No module named 'langgraph'", name="langgraph")

    stepped: list[int] = []

    async def step(index: int) -> tuple[str]:
        stepped.append(index)
        return ("main",)

    plan = plan_of(["a > b"], tasked="ab")
    await AutoEngine(make).run(plan.graph, step, lambda index: None, thread_id="t", tasks=plan.tasks)
    assert stepped == [0, 1]


async def test_an_engine_by_name_is_made_once_and_beside_the_event_loop() -> None:
    threads: list[int] = []

    def make() -> NativeEngine:
        threads.append(threading.get_ident())
        return NativeEngine()

    async def step(index: int) -> tuple[str]:
        return ("main",)

    engine, plan = LaterEngine(make), plan_of(["a > b"])
    for _ in range(2):
        await engine.run(plan.graph, step, lambda index: None, thread_id="t")
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
