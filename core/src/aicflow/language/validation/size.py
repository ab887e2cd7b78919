"""How large a document is: its depth and its expressions, found in one pass over all of it before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aicflow_language.expr.limits import MAX_CHARACTERS

from aicflow.kernel.values import pointer
from aicflow.language.validation.called import BODIES
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.report import Report

_OPENING: Final = "${{"


def deeper_than(value: Any, limit: int) -> str | None:
    """The pointer of a place nested deeper than `limit` levels, or None. Does not recurse."""
    waiting: list[tuple[Any, int, tuple[str | int, ...]]] = [(value, 1, ())]
    while waiting:
        item, depth, path = waiting.pop()
        if isinstance(item, dict | list):
            if depth > limit:
                return pointer(*path)
            inside = item.items() if isinstance(item, dict) else enumerate(item)
            waiting.extend((child, depth + 1, (*path, key)) for key, child in inside if isinstance(child, dict | list))
    return None


def check_size(raw: Mapping[str, Any], report: Report, limits: Limits) -> bool:
    """False when the document is over a limit, which is then told."""
    texts: list[str] = []
    if _is_deep(raw, limits.depth, texts):
        deep = deeper_than(raw, limits.depth) or ""
        report.error("doc.too-deep", deep, f"The document is nested deeper than {limits.depth} levels here.")
        return False
    for key, most in (("nodes", limits.nodes), ("edges", limits.edges), ("triggers", limits.triggers)):
        count = sum(len(part[key]) for part in _parts(raw) if isinstance(part.get(key), list))
        if count > most:
            report.error("doc.too-large", pointer(key), f"The workflow has {count} {key}; at most {most} are taken.")
            return False
    expressions = sum(text.count(_OPENING) for text in texts)
    characters = sum(map(len, texts))
    if characters > limits.characters:
        characters = sum(map(_inside, texts))
    for found, most, what in (
        (expressions, limits.expressions, "expressions"),
        (characters, limits.characters, "characters in expressions"),
    ):
        if found > most:
            message = f"The workflow has {found:,} {what}; at most {most:,} are taken."
            report.error("doc.too-large", "", message, hint="Split it, and join the parts with workflow.call.")
            return False
    return True


def _parts(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The document and the bodies of its nodes."""
    waiting = [raw]
    for part in waiting:  # grows while it is read
        yield part
        nodes = part.get("nodes")
        entries = (entry for entry in nodes if isinstance(entry, dict)) if isinstance(nodes, list) else ()
        waiting += [entry[kind] for entry in entries for kind in BODIES if isinstance(entry.get(kind), dict)]


def _is_deep(raw: Any, limit: int, texts: list[str]) -> bool:
    """Whether it is nested deeper than the limit. Collects the texts that hold expressions."""
    level = [raw]
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            return True
        below: list[Any] = []
        for item in level:
            for child in item.values() if isinstance(item, dict) else item:
                if isinstance(child, str):
                    if _OPENING in child:
                        texts.append(child)
                elif isinstance(child, dict | list):
                    below.append(child)
        level = below
    return False


def _inside(text: str) -> int:
    """About how many characters stand inside the expressions of a text; rather too many than too few."""
    count = 0
    pieces = text.split(_OPENING)
    for piece in pieces[1:]:
        end = piece.find("}}")
        inside = piece[:end] if end >= 0 else piece
        if '"' in inside or "'" in inside:
            inside = piece  # the end may stand inside a quotation
        count += min(len(inside), MAX_CHARACTERS)
    return count
