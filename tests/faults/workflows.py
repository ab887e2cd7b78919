"""The workflows of the random rounds, and how each of them must end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.history import ExecutionStory, World

RETRY = {"max_attempts": 1000, "initial_delay": 0.005, "max_delay": 0.08, "multiplier": 1.5}


def effect(name: str, *, run: str = "reached", **params: Any) -> dict[str, Any]:
    return {"id": name, "type": "faults.effect", "params": {"word": name, **params}, "run": run}


def document(name: str, nodes: list[dict[str, Any]], edges: list[str], **more: Any) -> dict[str, Any]:
    arrows = []
    for text in edges:
        source, port, target = text.split(" ")
        arrows.append({"from": source, "to": target, **({"port": port} if port != ">" else {})})
    return {"aicflow": 1, "name": name, "nodes": nodes, "edges": arrows, **more}


DOCUMENTS: dict[str, dict[str, Any]] = {
    one["name"]: one
    for one in [
        document(
            "chain",
            [
                effect("a"),
                {"id": "n", "type": "faults.add", "params": {"n": "${{ input.n }}"}},
                {"id": "b", "type": "faults.block", "params": {"word": "b", "before": 0.004}},
                {"id": "m", "type": "faults.add", "params": {"n": "${{ nodes.n.output }}", "by": 10}},
                effect("c", after=0.003),
            ],
            ["a > n", "n > b", "b > m", "m > c"],
            output="${{ nodes.m.output }}",
        ),
        document(
            "fan",
            [
                effect("a"),
                {"id": "n", "type": "faults.add", "params": {"n": "${{ input.n }}"}},
                {"id": "f", "type": "faults.flaky", "params": {"word": "f", "failures": 2}, "retry": RETRY},
                effect("s", after=0.01),
                effect("j"),
            ],
            ["a > n", "a > f", "a > s", "n > j", "f > j", "s > j"],
            output="${{ nodes.n.output }}",
        ),
        document(
            "fails",
            [effect("a"), {"id": "x", "type": "faults.boom", "params": {"word": "x"}}, effect("never")],
            ["a > x", "x > never"],
            settings={"on_failure": "report"},
        ),
        document("report", [effect("r")], [], output="${{ input.execution_id }}"),
        document(
            "saved",
            [
                {"id": "x", "type": "faults.boom", "params": {"word": "x"}},
                effect("rescue"),
                effect("never"),
            ],
            ["x error rescue", "x > never"],
            output="${{ nodes.rescue?.output }}",
        ),
        document(
            "waits",
            [effect("a"), {"id": "w", "type": "wait", "params": {"seconds": 0.12}}, effect("z")],
            ["a > w", "w > z"],
            output="${{ nodes.z.output }}",
        ),
        document(
            "asks",
            [
                effect("a"),
                {"id": "w", "type": "wait", "params": {"answer_schema": {"type": "integer"}}},
                effect("z"),
            ],
            ["a > w", "w > z"],
            output="${{ nodes.w.output.answer }}",
        ),
        document(
            "calls",
            [
                effect("a"),
                {"id": "k", "type": "workflow.call", "params": {"workflow": "chain", "input": "${{ input }}"}},
                effect("z"),
            ],
            ["a > k", "k > z"],
            output="${{ nodes.k.output.output }}",
        ),
        document(
            "thrice",
            [
                {
                    "id": "k",
                    "type": "faults.calls",
                    "params": {"workflow": "chain", "inputs": [{"n": 9}, {"n": 19}, "${{ input }}"]},
                },
                effect("z"),
            ],
            ["k > z"],
            output="${{ nodes.k.output }}",
        ),
        document(
            "torn",
            [effect("a"), {"id": "x", "type": "faults.boom", "params": {"word": "x"}}, effect("t", run="always")],
            ["a > x", "x > t"],
        ),
        document("long", [effect("a", before=60.0), effect("t", run="always")], ["a > t"]),
        document(
            "single",
            [effect("a", after=0.004), effect("b")],
            ["a > b"],
            output="${{ nodes.b.output }}",
            settings={"max_concurrency": 1},
        ),
    ]
}


@dataclass(frozen=True)
class Expected:
    """How an execution must end. `words`: each was done at least once; `ran` says of which steps."""

    status: str
    output: Callable[[Any], Any] = lambda given: None
    words: frozenset[str] = frozenset()
    more: Callable[[World, ExecutionStory], str | None] = field(default=lambda world, story: None)

    def broken(self, world: World, story: ExecutionStory, given: Any) -> str | None:
        """What is wrong with how it ended."""
        if story.status != self.status:
            return f"ended {story.status}, not {self.status}: {story.error}"
        if self.status == "succeeded" and story.output != self.output(given):
            return f"gave {story.output!r}, not {self.output(given)!r}"
        done = {word for word in story.words() if not word.endswith("-begins")}
        if self.status != "cancelled" and done != self.words:
            return f"did {sorted(done)}, not {sorted(self.words)}"
        return self.more(world, story)


def _one_report(world: World, story: ExecutionStory) -> str | None:
    reports = [
        one for one in world.of("report") if one.output == story.id or one.row["parent_execution_id"] == story.id
    ]
    return None if len(reports) == 1 else f"{len(reports)} failure workflows were started"


def _children(number: int) -> Callable[[World, ExecutionStory], str | None]:
    def check(world: World, story: ExecutionStory) -> str | None:
        children = [one for one in world.of("chain") if one.row["parent_execution_id"] == story.id]
        exact = Counter(one.status for one in children) == {"succeeded": number}
        return None if exact else f"has the children {children}"

    return check


def _torn_down(world: World, story: ExecutionStory) -> str | None:
    begun, done = story.of("step.started", node="a"), story.of("step.succeeded", node="t")
    return None if len(done) == bool(begun) else f"was torn down {len(done)} times"


EXPECTED: dict[str, Expected] = {
    "chain": Expected("succeeded", lambda given: given["n"] + 11, frozenset("abc")),
    "fan": Expected("succeeded", lambda given: given["n"] + 1, frozenset("afsj")),
    "fails": Expected("failed", words=frozenset("ax"), more=_one_report),
    "saved": Expected("succeeded", lambda given: "rescue", frozenset({"x", "rescue"})),
    "waits": Expected("succeeded", lambda given: "z", frozenset("az")),
    "asks": Expected("succeeded", lambda given: 7, frozenset("az")),
    "calls": Expected("succeeded", lambda given: given["n"] + 11, frozenset("az"), more=_children(1)),
    "thrice": Expected("succeeded", lambda given: [20, 30, given["n"] + 11], frozenset("z"), more=_children(3)),
    "torn": Expected("failed", words=frozenset("axt")),
    "long": Expected("cancelled", more=_torn_down),
    "single": Expected("succeeded", lambda given: "b", frozenset("ab")),
}
