"""What trigger types find when they are asked about the whole document, and what they may ask of its ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from aicflow.kernel.values import pointer
from aicflow.language.validation.params import ask
from aicflow.language.validation.paths import Paths, Way
from aicflow.language.validation.report import Report
from aicflow.language.validation.subject import Subject

_SHOWN = 4


def check_triggers(subject: Subject, report: Report) -> None:
    """What the type of each trigger says of its params beside the nodes and edges."""
    ways = None if subject.paths is None or subject.loose else _Ways(subject, subject.paths)
    for i, trigger in enumerate(subject.triggers):
        found = subject.trigger_types[i]
        if trigger is not None and found is not None:
            at = pointer("triggers", i, *(("params",) if "params" in trigger.model_fields_set else ()))
            check = partial(found.cls.check_in, trigger.params, subject.raw, ways)
            ask(report, at, found.cls, check, has_holes="${{" in str(trigger.params))


class _Ways:
    """The `Ways` of a document whose graph is known."""

    def __init__(self, subject: Subject, paths: Paths) -> None:
        self._subject = subject
        self._paths = paths

    def without(self, nodes: Sequence[str]) -> str | None:
        return self._words(nodes, self._paths.way_without_any)

    def with_both(self, one: str, other: str) -> str | None:
        return self._words((one, other), self._paths.way_with_both)

    def _words(self, nodes: Sequence[str], find: Callable[[Sequence[int]], Way | None]) -> str | None:
        index = self._subject.index
        way = find([index[node] for node in nodes]) if all(node in index for node in nodes) else None
        if not way:
            return None if way is None else "on every way"
        names = [(self._subject.nodes[at], port) for at, port in way[-_SHOWN:]]
        turns = [f"'{node.id if node else '?'}' exits by '{port}'" for node, port in names]
        return f"when {'after other branches ' if len(way) > _SHOWN else ''}{' and '.join(turns)}"
