"""The conformance suite of the engine port: subclass it, give it your engine, run it with pytest.

class TestMyEngine(EngineSuite):
    @pytest.fixture
    def engine(self):
        return MyEngine()
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from aicflow.kernel.context import Context
from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.node import Node, Params
from aicflow.kernel.ports.engine import Engine, Settlement
from aicflow.kernel.registry import Registry
from aicflow.language.plan import Plan, build_plan


class _Nothing(Params):
    """No params."""


class _Plain(Node[_Nothing, None]):
    """A node without meaning of its own."""

    type_id = "suite.plain"

    async def run(self, ctx: Context, params: _Nothing) -> None:
        """Not called: the suite runs steps by itself."""


class _Tasked(_Plain):
    """One that asks for a LangGraph task."""

    type_id = "suite.tasked"
    in_langgraph_task = True


def plan_of(
    edges: Iterable[str], *, alone: Iterable[str] = (), tasked: Iterable[str] = (), always: Iterable[str] = ()
) -> Plan:
    """A plan from edges such as `"a > b"` or `"gate true> b"`. `tasked` nodes ask for a LangGraph task, `always` ones
    run however the nodes before them were settled."""
    names: dict[str, None] = dict.fromkeys(alone)
    arrows: list[dict[str, Any]] = []
    for text in edges:
        left, right = text.split(">")
        source, _, port = left.strip().partition(" ")
        target = right.strip()
        names[source] = names[target] = None
        arrows.append({"from": source, "to": target, "port": port or "main"})
    registry = Registry()
    registry.register(_Plain)
    registry.register(_Tasked)
    wanted = set(tasked)
    teardown = set(always)
    nodes = [
        {
            "id": name,
            "type": "suite.tasked" if name in wanted else "suite.plain",
            "run": "always" if name in teardown else "reached",
        }
        for name in names
    ]
    document = WorkflowDocument.model_validate({"aicflow": 1, "name": "suite", "nodes": nodes, "edges": arrows})
    return build_plan(document, registry)


class _Story:
    """Runs a plan with an engine and keeps what happened, in order: `+a` began, `-a` settled, `/a` was skipped."""

    def __init__(self, plan: Plan, ports: Mapping[str, Settlement] | None = None) -> None:
        self.plan = plan
        self.ports = dict(ports or {})
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self._happened = asyncio.Condition()

    def hold(self, *names: str) -> None:
        for name in names:
            self.gates[name] = asyncio.Event()

    async def step(self, index: int) -> Settlement:
        name = self.plan.nodes[index].id
        await self._note("+" + name)
        if name in self.gates:
            await self.gates[name].wait()
        else:
            await asyncio.sleep(0)
        await self._note("-" + name)
        return self.ports.get(name, ("main",))

    async def _note(self, entry: str) -> None:
        self.log.append(entry)
        async with self._happened:
            self._happened.notify_all()

    async def until(self, *entries: str) -> None:
        async with asyncio.timeout(30), self._happened:
            await self._happened.wait_for(lambda: set(entries) <= set(self.log))

    def skip(self, index: int) -> None:
        self.log.append("/" + self.plan.nodes[index].id)

    async def run(self, engine: Engine) -> list[str]:
        async with asyncio.timeout(30):
            await engine.run(self.plan.graph, self.step, self.skip, thread_id="suite", tasks=self.plan.tasks)
        return self.log

    def ran(self) -> list[str]:
        return [entry[1:] for entry in self.log if entry[0] == "+"]

    def skipped(self) -> list[str]:
        return [entry[1:] for entry in self.log if entry[0] == "/"]


class EngineSuite:
    """What every engine must do. Each test runs with plain nodes and again with nodes that ask for a task."""

    @pytest.fixture(params=["plain", "tasked"])
    def tasked(self, request: pytest.FixtureRequest) -> bool:
        """Whether every node asks for a LangGraph task."""
        return bool(request.param == "tasked")

    def story(self, edges: list[str], tasked: bool, ports: Mapping[str, Settlement] | None = None) -> _Story:
        """A story over these edges."""
        names = {part.strip().split(" ")[0] for edge in edges for part in edge.split(">")}
        return _Story(plan_of(edges, tasked=names if tasked else ()), ports)

    async def test_a_chain_runs_in_order(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b", "b > c"], tasked)
        assert await story.run(engine) == ["+a", "-a", "+b", "-b", "+c", "-c"]

    async def test_what_always_runs_does_after_failures_and_skips(self, engine: Engine, tasked: bool) -> None:
        edges = ["a > b", "b > z", "c > z", "z > y"]
        plan = plan_of(edges, tasked="abcyz" if tasked else (), always=["z"])
        story = _Story(plan, {"a": (), "c": ()})
        await story.run(engine)
        assert story.ran()[-2:] == ["z", "y"]
        assert story.skipped() == ["b"]

    async def test_a_single_node_runs(self, engine: Engine) -> None:
        story = _Story(plan_of([], alone=["only"]))
        assert await story.run(engine) == ["+only", "-only"]

    async def test_nodes_without_incoming_edges_all_start(self, engine: Engine) -> None:
        story = _Story(plan_of([], alone=["a", "b", "c"]))
        await story.run(engine)
        assert sorted(story.ran()) == ["a", "b", "c"]
        assert story.log[:3] == ["+a", "+b", "+c"]

    async def test_a_diamond_joins_once(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b", "a > c", "b > d", "c > d"], tasked)
        await story.run(engine)
        assert story.ran().count("d") == 1
        assert story.log[-2:] == ["+d", "-d"]

    async def test_an_uneven_join_runs_once_after_the_longer_branch(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > join", "a > b", "b > c", "c > join", "join > after"], tasked)
        await story.run(engine)
        assert story.ran().count("join") == 1
        assert story.log.index("-c") < story.log.index("+join")
        assert story.ran().count("after") == 1

    async def test_the_branch_not_taken_is_skipped_to_its_end(self, engine: Engine, tasked: bool) -> None:
        story = self.story(
            ["gate true> yes", "gate false> no", "no > further", "further > furthest"], tasked, {"gate": ("true",)}
        )
        await story.run(engine)
        assert story.ran() == ["gate", "yes"]
        assert story.skipped() == ["no", "further", "furthest"]

    async def test_a_join_after_a_skipped_branch_still_runs(self, engine: Engine, tasked: bool) -> None:
        story = self.story(
            ["gate true> yes", "gate false> no", "yes > join", "no > join"], tasked, {"gate": ("false",)}
        )
        await story.run(engine)
        assert story.ran() == ["gate", "no", "join"]
        assert story.skipped() == ["yes"]

    async def test_a_join_of_skipped_branches_is_skipped(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["gate true> a", "gate true> b", "a > join", "b > join"], tasked, {"gate": ("false",)})
        await story.run(engine)
        assert story.ran() == ["gate"]
        assert sorted(story.skipped()) == ["a", "b", "join"]

    async def test_nested_branches(self, engine: Engine, tasked: bool) -> None:
        edges = [
            "outer true> inner",
            "outer false> other",
            "inner true> deep",
            "inner false> shallow",
            "deep > join",
            "shallow > join",
            "other > join",
        ]
        story = self.story(edges, tasked, {"outer": ("true",), "inner": ("false",)})
        await story.run(engine)
        assert story.ran() == ["outer", "inner", "shallow", "join"]
        assert sorted(story.skipped()) == ["deep", "other"]

    async def test_two_ports_to_the_same_node_run_it_once(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["gate true> next", "gate false> next"], tasked, {"gate": ("false",)})
        await story.run(engine)
        assert story.ran() == ["gate", "next"]

    async def test_a_slow_branch_does_not_hold_a_fast_one(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > slow", "a > fast", "fast > fast2", "fast2 > fast3"], tasked)
        story.hold("slow")
        running = asyncio.create_task(story.run(engine))
        await story.until("-fast3")
        assert "-slow" not in story.log
        story.gates["slow"].set()
        await running
        assert story.log[-1] == "-slow"

    async def test_a_branch_that_ends_skips_what_only_it_feeds(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b", "b > c", "a > d"], tasked, {"b": ()})
        await story.run(engine)
        assert sorted(story.ran()) == ["a", "b", "d"]
        assert story.skipped() == ["c"]

    async def test_an_error_port_leads_to_its_handler(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b", "b error> handler", "b > c"], tasked, {"b": ("error",)})
        await story.run(engine)
        assert story.ran() == ["a", "b", "handler"]
        assert story.skipped() == ["c"]

    async def test_a_parked_step_leaves_what_is_behind_it(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > wait", "wait > after", "a > b", "b > join", "after > join"], tasked, {"wait": None})
        await story.run(engine)
        assert sorted(story.ran()) == ["a", "b", "wait"]
        assert story.skipped() == []

    async def test_cancelling_the_run_cancels_the_steps_under_way(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b", "a > c"], tasked)
        story.hold("b", "c")
        running = asyncio.create_task(story.run(engine))
        await story.until("+b", "+c")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert "-b" not in story.log
        assert "-c" not in story.log

    async def test_an_error_of_the_caller_ends_the_run(self, engine: Engine, tasked: bool) -> None:
        story = self.story(["a > b"], tasked)

        async def step(index: int) -> Settlement:
            raise RuntimeError("the store is gone")

        with pytest.raises((RuntimeError, ExceptionGroup)):
            await engine.run(story.plan.graph, step, story.skip, thread_id="suite", tasks=story.plan.tasks)

    async def test_a_thousand_nodes_in_a_row_and_side_by_side(self, engine: Engine) -> None:
        row = _Story(plan_of([f"n{i} > n{i + 1}" for i in range(999)]))
        await row.run(engine)
        assert len(row.ran()) == 1000
        fan = _Story(plan_of([edge for i in range(998) for edge in (f"a > m{i}", f"m{i} > z")]))
        await fan.run(engine)
        assert len(fan.ran()) == 1000
        assert fan.log[-1] == "-z"

    @pytest.mark.parametrize("seed", range(20))
    async def test_random_graphs_keep_the_run_rule(self, engine: Engine, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a story, not a secret
        count = chance.randint(2, 25)
        edges = [
            f"n{i} {chance.choice(['main', 'true', 'false', 'error'])}> n{j}"
            for j in range(1, count)
            for i in chance.sample(range(j), chance.randint(0, min(j, 3)))
        ]
        names = [f"n{i}" for i in range(count)]
        ports: dict[str, Settlement] = {
            name: chance.choice([("main",), ("true",), ("false",), ("error",), ()]) for name in names
        }
        tasked = [name for name in names if chance.random() < 0.4]
        story = _Story(plan_of(edges, alone=names, tasked=tasked), ports)
        await story.run(engine)
        runs: dict[str, bool] = {}
        for j, name in enumerate(names):  # by the rule, read straight off the edges
            incoming = [edge for edge in edges if edge.endswith(f"> n{j}")]
            runs[name] = not incoming or any(
                runs[source] and port in (ports[source] or ())
                for source, port in (edge.split(">")[0].split(" ", 1) for edge in incoming)
            )
        assert sorted(story.ran()) == sorted(name for name in names if runs[name])
        assert sorted(story.skipped()) == sorted(name for name in names if not runs[name])
