"""What the database and the ledger say, and the promises that hold for both whatever was killed when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import databases
from tests.faults.nodes import NODES

_TERMINAL = ("succeeded", "failed", "cancelled")
_PURE = {cls.type_id for cls in NODES if cls.pure}


@dataclass(frozen=True)
class Line:
    """One line of the ledger."""

    execution: str
    node: str
    attempt: int
    key: str
    word: str


@dataclass
class ExecutionStory:
    """One execution: its row and its events."""

    id: str
    workflow: str
    status: str
    row: dict[str, Any]
    events: list[dict[str, Any]]
    lines: list[Line] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.status in _TERMINAL

    @property
    def output(self) -> Any:
        return json.loads(self.row["output"]) if self.row["output"] is not None else None

    @property
    def error(self) -> Any:
        return json.loads(self.row["error"]) if self.row["error"] is not None else None

    def of(self, *types: str, node: str | None = None) -> list[dict[str, Any]]:
        """The events of these types."""
        return [one for one in self.events if one["type"] in types and node in (None, one.get("node_id"))]

    def words(self) -> Counter[str]:
        """What it did to the world outside."""
        return Counter(line.word for line in self.lines)

    def story(self) -> str:
        """Everything about it, for a failed test."""
        lines = [f"{self.id} of {self.workflow}: {self.status} {self.row}"]
        lines += [
            f"  {one['seq']:3} {one['time'][17:]} {one['type']} {one.get('node_id', '')} {one.get('attempt', '')}"
            f" {str(one['data'])[:120]}"
            for one in self.events
        ]
        return "\n".join([*lines, *(f"  did {line}" for line in self.lines)])

    def broken(self) -> Iterator[str]:
        """What is wrong with it."""
        if [one["seq"] for one in self.events] != list(range(1, self.row["last_seq"] + 1)):
            yield "its events are not numbered from one without a gap"
        ends = [one for one in self.events if one["type"].removeprefix("execution.") in _TERMINAL]
        if len(ends) != int(self.ended):
            yield f"{len(ends)} terminal events while it is {self.status}"
        if ends and (ends[0]["type"] != f"execution.{self.status}" or ends[0] is not self.events[-1]):
            yield "the terminal event is not its last, or not its status"
        yield from self._broken_steps()

    def _broken_steps(self) -> Iterator[str]:
        settled: dict[str, dict[str, Any]] = {}
        opened: set[str] = set()
        again: tuple[str, ...] = ()
        for event in self.events:
            node, kind = event.get("node_id"), event["type"]
            if node is None or kind in ("step.log", "step.progress"):
                continue
            if event["data"].get("again"):  # the whole group
                settled = {name: end for name, end in settled.items() if not name.startswith(f"{node}.")}
                opened = {name for name in opened if not name.startswith(f"{node}.")}
                again += (f"{node}.",)
            if kind == "step.started":
                opened.add(node)
            if node in settled:
                yield f"{kind} of {node} after it had settled"
            if kind in ("step.succeeded", "step.failed", "step.skipped", "step.cancelled"):
                settled[node] = event
        if self.ended and (left := opened - settled.keys()):
            yield f"it ended and {left} did not settle"
        begun = Counter((one["node_id"], one["attempt"]) for one in self.of("step.started"))
        for line, count in Counter(self.lines).items():
            if (line.node, line.attempt) not in begun:
                yield f"{line} was done by an attempt that the log does not know"
            if count > max(begun[line.node, line.attempt], 1):
                yield f"{line} was done {count} times"
            end = None if line.node.startswith(again) else settled.get(line.node)
            if end is not None and end["type"] == "step.succeeded" and line.attempt > end["attempt"]:
                yield f"{line} was done after attempt {end['attempt']} had succeeded"
            if line.key != f"{self.id}:{line.node}":
                yield f"{line} has another idempotency key"


@dataclass
class World:
    """All executions by id."""

    executions: dict[str, ExecutionStory]

    @classmethod
    def read(cls, db: str, ledger: Path) -> World:
        """What they say now. The ledger is read first: whatever stands in it was logged as started before."""
        lines = [line.split() for line in ledger.read_text().splitlines()]
        rows, events = databases.read(db)
        executions = {
            row["id"]: ExecutionStory(row["id"], row["workflow_id"], row["status"], dict(row), events[row["id"]])
            for row in rows
        }
        for execution, node, attempt, key, word in lines:
            executions[execution].lines.append(Line(execution, node, int(attempt), key, word))
        return cls(executions)

    def check(self, where: str = "") -> World:
        """Raise AssertionError with the stories of all executions that are not as they must be."""
        wrong = [f"{problem}:\n{one.story()}" for one in self.executions.values() for problem in one.broken()]
        assert not wrong, f"{where}\n" + "\n".join(wrong[:5])
        return self

    def of(self, workflow: str) -> list[ExecutionStory]:
        """The executions of a workflow."""
        return [one for one in self.executions.values() if one.workflow == workflow]
