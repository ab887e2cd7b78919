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


def cycles(size: int, edges: Sequence[tuple[int, str, int]]) -> dict[int, list[int]]:
    """The edges that close a cycle, by their place among the edges, each with the nodes of its cycle (the first 21).
    Without these edges there is no cycle. The search begins where no edge leads in, then goes by document order."""
    leaving: list[list[int]] = [[] for _ in range(size)]
    entered = bytearray(size)
    for place, (source, _, target) in enumerate(edges):
        leaving[source].append(place)
        entered[target] = 1
    found: dict[int, list[int]] = {}
    depth = [0] * size  # of the nodes on the way to here, from 1; -1 of those that are done
    for start in sorted(range(size), key=entered.__getitem__):
        if depth[start]:
            continue
        way, ahead = [start], [iter(leaving[start])]
        depth[start] = 1
        while way:
            place = next(ahead[-1], -1)
            if place < 0:
                depth[way.pop()] = -1
                ahead.pop()
                continue
            target = edges[place][2]
            if depth[target] > 0:
                found[place] = way[depth[target] - 1 : depth[target] + 20]
            elif depth[target] == 0:
                way.append(target)
                ahead.append(iter(leaving[target]))
                depth[target] = len(way)
    return found


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
