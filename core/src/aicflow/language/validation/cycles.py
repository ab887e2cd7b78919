"""Which edges close a cycle, and which nodes are on it."""

from __future__ import annotations

from collections.abc import Sequence


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
