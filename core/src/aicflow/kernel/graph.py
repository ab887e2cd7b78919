"""A workflow's shape in numbers, and the run rule: a node is settled exactly once.

It runs when every incoming edge is settled (taken or skipped) and at least one was taken; when all were skipped, it
is skipped, unless it always runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


class GraphError(ValueError):
    """The edges do not make an acyclic graph."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes 0…n-1 in document order. `successors[i]` lists `(port, target)`, one entry for each edge."""

    names: tuple[str, ...]
    successors: tuple[tuple[tuple[str, int], ...], ...]
    incoming: tuple[int, ...]
    order: tuple[int, ...]
    """The nodes in topological order; ties in document order."""
    always: frozenset[int] = frozenset()
    """The nodes that run however the nodes before them were settled."""

    @classmethod
    def build(cls, names: Sequence[str], edges: Sequence[tuple[int, str, int]], always: Collection[int] = ()) -> Graph:
        """The graph of `(source, port, target)` edges. Raises GraphError on a cycle."""
        targets: list[dict[tuple[str, int], None]] = [{} for _ in names]
        for source, port, target in edges:
            targets[source][(port, target)] = None  # the same edge twice is one edge
        successors = tuple(tuple(edge) for edge in targets)
        incoming = [0] * len(names)
        for edge_list in successors:
            for _, target in edge_list:
                incoming[target] += 1
        left = list(incoming)
        order = [node for node, count in enumerate(left) if count == 0]
        for node in order:  # grows while it is read
            for _, target in successors[node]:
                left[target] -= 1
                if left[target] == 0:
                    order.append(target)
        if len(order) < len(names):
            raise GraphError("The edges form a cycle")
        return cls(tuple(names), successors, tuple(incoming), tuple(order), frozenset(always))

    def catches_errors(self, node: int) -> bool:
        """Whether an edge by `error` leads to a node that takes over. One that always runs takes over nothing."""
        return any(port == "error" and target not in self.always for port, target in self.successors[node])


class Walk:
    """One walk over a graph: which nodes may run next. Not thread-safe; O(edges) over a whole walk."""

    __slots__ = ("_graph", "_left", "_taken")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._left = list(graph.incoming)
        self._taken = bytearray(node in graph.always for node in range(len(graph.names)))

    def start(self) -> list[int]:
        """The nodes without incoming edges."""
        return [node for node in self._graph.order if self._graph.incoming[node] == 0]

    def settle(self, node: int, ports: Collection[str]) -> tuple[list[int], list[int]]:
        """The node is settled and left by these ports. Gives the nodes that may now run and those now skipped."""
        successors = self._graph.successors
        left, taken = self._left, self._taken
        ready: list[int] = []
        skipped: list[int] = []
        for port, target in successors[node]:
            left[target] -= 1
            if port in ports:
                taken[target] = 1
            if left[target] == 0:
                (ready if taken[target] else skipped).append(target)
        for lost in skipped:  # grows while it is read: a skipped node skips on
            for _, target in successors[lost]:
                left[target] -= 1
                if left[target] == 0:
                    (ready if taken[target] else skipped).append(target)
        return ready, skipped
