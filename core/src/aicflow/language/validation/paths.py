"""When a node runs: a boolean function of which way each branching node before it is left.

What counts is what can happen in an execution that goes on: a node is left by one of its ports, or by `error` when it
fails and there is such an edge. A failure that nobody catches ends the execution as failed, so what it does to the
nodes that still run is of no interest here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from aicflow.kernel.graph import Graph
from aicflow.language.validation.diagrams import FALSE, TRUE, Diagrams
from aicflow.language.validation.dominance import Dominators
from aicflow.language.work import Budget, TooCostly

END: Final = -1
"""Stands for the end of the execution, where the output is made: after all nodes, and whatever way was taken."""

_BUDGET: Final = 400_000
_NAMING: Final = 3_000_000
"""Edges that are looked at to say on which way a node does not run; after that it is only said that there is one."""

type Way = list[tuple[int, str]]
"""Decisions: which node is left by which port."""
type Answer = Literal["always", "maybe", "never", "unknown"]


@dataclass(frozen=True, slots=True)
class _Exits:
    """The ways to leave a node that differ from each other: port → number, and a port for each number."""

    number: dict[str, int]
    names: tuple[str, ...]


class Paths:
    """The run conditions of one graph. `ports[i]` are the ports of node i without `error`, None when not known."""

    def __init__(self, graph: Graph, ports: Sequence[tuple[str, ...] | None], budget: int | Budget = _BUDGET) -> None:
        self._graph = graph
        self.budget = budget if isinstance(budget, Budget) else Budget(budget)
        self._diagrams = Diagrams(self.budget)
        self._position = [0] * len(graph.names)
        for position, node in enumerate(graph.order):
            self._position[node] = position
        self._exits = [
            _exits(ports[node], graph.successors[node], caught=graph.catches_errors(node))
            for node in range(len(graph.names))
        ]
        self._incoming: list[list[tuple[int, str]]] = [[] for _ in graph.names]
        for source, edges in enumerate(graph.successors):
            for port, target in edges:
                self._incoming[target].append((source, port))
        self._missing: dict[tuple[int, int], Way | None] = {}
        self._naming = _NAMING

    # What comes before what

    def is_before(self, one: int, other: int) -> bool:
        """Whether `one` has settled whenever `other` begins."""
        return other == END or bool(self._ancestors[other] >> self._position[one] & 1)

    @cached_property
    def _ancestors(self) -> list[int]:
        """For each node, a bit for the position of each node before it."""
        found = [0] * len(self._graph.names)
        for node in self._graph.order:
            bits = 0
            for source, _ in self._incoming[node]:
                bits |= found[source] | 1 << self._position[source]
            found[node] = bits
        return found

    def may_be_unfinished(self, node: int, other: int) -> bool:
        """Whether `other` may run after `node` has failed uncaught, or was stopped, because it or a node before it
        always runs."""
        if other == END or not self._graph.always:
            return False
        reaching = (one for one in self._graph.always if one == other or self.is_before(one, other))
        return any(self.is_before(node, one) for one in reaching)

    # When nodes run

    @cached_property
    def _runs(self) -> list[int | None]:
        """The condition of each node; None where it got too complicated."""
        found: list[int | None] = [None] * len(self._graph.names)
        try:
            for node in self._graph.order:
                found[node] = self._condition(node, found)
        except TooCostly:
            pass
        return found

    def _condition(self, node: int, runs: Sequence[int | None]) -> int | None:
        incoming = self._incoming[node]
        if not incoming or node in self._graph.always:
            return TRUE
        ports: dict[int, set[str]] = {}
        for source, port in incoming:
            ports.setdefault(source, set()).add(port)
        return self._diagrams.any_of([self._left_by(source, by, runs[source]) for source, by in ports.items()])

    def _left_by(self, node: int, ports: set[str], run: int | None) -> int:
        """The condition that the node runs and is left by one of the ports."""
        if run is None:
            raise TooCostly
        exits = self._exits[node]
        numbers = {exits.number[port] for port in ports if port in exits.number}
        if len(numbers) == len(exits.names):
            return run
        if 0 in numbers:
            others = (number for number in range(1, len(exits.names)) if number not in numbers)
            return self._diagrams.choice(self._position[node], run, dict.fromkeys(others, FALSE))
        return self._diagrams.choice(self._position[node], FALSE, dict.fromkeys(numbers, run))

    def never_runs(self, node: int) -> bool:
        """Whether it is known that the node cannot run in any execution."""
        return self._runs[node] == FALSE

    def first_that_never_run(self) -> list[int]:
        """The nodes that can never run although a node before them can."""
        return [
            node
            for node, run in enumerate(self._runs)
            if run == FALSE and any(self._runs[source] != FALSE for source, _ in self._incoming[node])
        ]

    @cached_property
    def _dominators(self) -> Dominators:
        live: list[list[int]] = [[] for _ in self._graph.names]
        for target, incoming in enumerate(self._incoming):
            if incoming and target not in self._graph.always:
                # an edge by a port that does not exist is no way; where only such lead in, the node never runs
                live[target] = [source for source, port in incoming if port in self._exits[source].number]
        return Dominators(self._graph.order, live)

    def way_without(self, node: int, other: int) -> Way | None:
        """Decisions with which `other` runs and `node`, which comes before it, does not. None when there are none, or
        when that cannot be told."""
        runs = self._runs
        if runs[node] == TRUE:
            return None
        key = (node, other)
        if key not in self._missing:
            self._missing[key] = self._find_way(node, other)
        return self._missing[key]

    def _find_way(self, node: int, other: int) -> Way | None:
        if other != END and self._dominators.dominates(node, other):
            return None
        mine, its = self._runs[node], TRUE if other == END else self._runs[other]
        if mine is None or its is None:
            return None
        try:
            return self._named(self._diagrams.unless(its, mine))
        except TooCostly:
            return None

    def way_without_any(self, nodes: Sequence[int]) -> Way | None:
        """Decisions with which none of the nodes runs and succeeds; None when there are none, or it cannot be told."""
        try:
            return self._named(self._diagrams.unless(TRUE, self._diagrams.any_of([self._succeeds(n) for n in nodes])))
        except TooCostly:
            return None

    def way_with_both(self, nodes: Sequence[int]) -> Way | None:
        """Decisions with which both nodes run and succeed; None when there are none, or that cannot be told."""
        one, other = nodes
        try:
            return self._named(self._diagrams.together(self._succeeds(one), self._succeeds(other)))
        except TooCostly:
            return None

    def _succeeds(self, node: int) -> int:
        return self._left_by(node, {name for name in self._exits[node].names if name != "error"}, self._runs[node])

    def has_error_edge(self, node: int) -> bool:
        """Whether a failure of the node is caught by an edge."""
        return "error" in self._exits[node].number

    def failed(self, node: int, other: int) -> Answer:
        """Whether `node`, which comes before `other`, has failed and left by `error` when `other` runs."""
        exits = self._exits[node]
        if "error" not in exits.number:
            return "never"
        its = TRUE if other == END else self._runs[other]
        if its is None or self._runs[node] is None:
            return "unknown"
        try:
            error = self._left_by(node, {"error"}, self._runs[node])
            if self._diagrams.together(its, error) is None:
                return "never"
            return "always" if self._diagrams.unless(its, error) is None else "maybe"
        except TooCostly:
            return "unknown"

    def _named(self, way: list[tuple[int, int]] | None) -> Way | None:
        if way is None:
            return None
        order = self._graph.order
        decided = {order[position]: number for position, number in way}
        named: Way = []
        taken: set[tuple[int, int | None]] = set()
        for node in order[: max((position for position, _ in way), default=-1) + 1]:
            incoming = self._incoming[node]
            self._naming -= 1 + len(incoming)
            if self._naming < 0:
                return []
            if incoming and not any((one, self._exits[one].number.get(port)) in taken for one, port in incoming):
                continue  # it does not run on this way, so that what was decided of it is no part of it
            taken.add((node, decided.get(node, 0)))
            if node in decided:
                named.append((node, self._exits[node].names[decided[node]]))
        return named


def _exits(ports: tuple[str, ...] | None, edges: Sequence[tuple[str, int]], *, caught: bool) -> _Exits:
    """Ports that no edge uses are one and the same; they come first. Of a node of unknown type, the ports are those
    that edges use."""
    used = dict.fromkeys(port for port, _ in edges)
    known = ports if ports is not None else [port for port in used if port != "error"] or ["main"]
    idle = [port for port in known if port not in used]
    names = [*idle[:1], *(port for port in known if port in used)]
    number = {port: index for index, port in enumerate(names)}
    number |= dict.fromkeys(idle, 0)
    if caught:
        number["error"] = len(names)
        names.append("error")
    return _Exits(number, tuple(names))
