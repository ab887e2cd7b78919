"""Which nodes stand on every way from the beginning to a node: a cheap proof that they run whenever it runs."""

from __future__ import annotations

from collections.abc import Sequence


class Dominators:
    """The dominator tree of an acyclic graph, with pointers that jump far up, so that each question takes few steps."""

    __slots__ = ("_depth", "_jump", "_parent", "_root")

    def __init__(self, order: Sequence[int], predecessors: Sequence[Sequence[int]]) -> None:
        """`order` is a topological order of the nodes 0…n-1; nodes without predecessors begin."""
        root = len(predecessors)
        self._root = root
        self._parent = [root] * (root + 1)
        self._jump = [root] * (root + 1)
        self._depth = [0] * (root + 1)
        for node in order:
            before = predecessors[node]
            parent = before[0] if before else root
            for other in before:
                if other != parent:
                    parent = self._meeting(parent, other)
            far = self._jump[parent]
            even = self._depth[parent] - self._depth[far] == self._depth[far] - self._depth[self._jump[far]]
            self._parent[node] = parent
            self._depth[node] = self._depth[parent] + 1
            self._jump[node] = self._jump[far] if even else parent

    def dominates(self, one: int, other: int) -> bool:
        """Whether every way to `other` leads through `one`."""
        return self._raised(other, self._depth[one]) == one

    def _raised(self, node: int, depth: int) -> int:
        while self._depth[node] > depth:
            far = self._jump[node]
            node = far if self._depth[far] >= depth else self._parent[node]
        return node

    def _meeting(self, one: int, two: int) -> int:
        depth = min(self._depth[one], self._depth[two])
        one, two = self._raised(one, depth), self._raised(two, depth)
        while one != two:
            if self._jump[one] != self._jump[two]:
                one, two = self._jump[one], self._jump[two]
            else:
                one, two = self._parent[one], self._parent[two]
        return one
