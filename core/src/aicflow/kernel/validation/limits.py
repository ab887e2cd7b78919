"""How large a document may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """`depth` counts levels of lists and objects, `issues` how many findings are reported at most."""

    depth: int = 64
    nodes: int = 10_000
    edges: int = 100_000
    triggers: int = 100
    issues: int = 1_000
