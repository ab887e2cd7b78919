"""How large a document may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`depth` counts levels of lists and objects, `issues` how many findings are reported at most. Of all `${{ … }}`
    together: `expressions` counts them, `characters` what stands inside them, and `parts` their names, values and
    operators. These keep the time that validation takes within a few seconds, whatever the document."""

    depth: int = 64
    nodes: int = 10_000
    edges: int = 100_000
    triggers: int = 100
    issues: int = 1_000
    expressions: int = 50_000
    characters: int = 1_000_000
    parts: int = 300_000
