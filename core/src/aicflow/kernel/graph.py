"""A workflow's shape in numbers, and the run rule: a node is settled exactly once.

It runs when every incoming edge is settled (taken or skipped) and at least one was taken; when all were skipped, it
is skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Graph", "GraphError", "Walk"]


class GraphError(ValueError):
    """The edges do not make an acyclic graph; `loop` names the nodes of one cycle, first again at the end."""

    def __init__(self, loop: Sequence[str]) -> None:
        super().__init__("The edges form a cycle: " + " → ".join(loop))
        self.loop = tuple(loop)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes 0…n-1 in document order. `successors[i]` lists `(port, target)`, one entry for each edge."""

    names: tuple[str, ...]
    successors: tuple[tuple[tuple[str, int], ...], ...]
    incoming: tuple[int, ...]
    order: tuple[int, ...]
    """The nodes in topological order; ties in document order."""

    @classmethod
    def build(cls, names: Sequence[str], edges: Sequence[tuple[int, str, int]]) -> Graph:
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
            raise GraphError([names[node] for node in _loop(successors, left)])
        return cls(tuple(names), successors, tuple(incoming), tuple(order))


def _loop(successors: Sequence[Sequence[tuple[str, int]]], left: Sequence[int]) -> list[int]:
    """One cycle among the nodes that topological sorting could not place."""
    stuck = {node for node, count in enumerate(left) if count > 0}
    # every stuck node has a stuck predecessor, so walking backwards must come round
    predecessor = {target: node for node in stuck for _, target in successors[node] if target in stuck}
    seen: dict[int, int] = {}
    node = min(stuck)
    path: list[int] = []
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = predecessor[node]
    loop = [*path[seen[node] :], node]
    loop.reverse()
    return loop


class Walk:
    """One walk over a graph: which nodes may run next. Not thread-safe; O(edges) over a whole walk."""

    __slots__ = ("_graph", "_left", "_taken")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._left = list(graph.incoming)
        self._taken = bytearray(len(graph.names))

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
