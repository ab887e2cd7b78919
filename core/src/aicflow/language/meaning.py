"""What values of a document mean: the same for texts that are only spelled differently.

A meaning can be compared and hashed. Numbers are equal as in JSON (1 is 1.0, true is neither), the order of keys does
not count, and two expressions are equal when they are the same once read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from aicflow_language.expr import ExpressionError, parse
from aicflow_language.expr.ast import Chain, Field, Index, Literal, Name
from aicflow_language.template.scanner import OPENING, Hole, scan

__all__ = ["NO_NAMES", "Path", "meaning"]

type Path = tuple[str | int, ...]
type Names = Mapping[str, str]

NO_NAMES: Final[Names] = {}


def meaning(
    value: Any, path: Path = (), is_template: Callable[[Path], bool] | None = None, names: Names = NO_NAMES
) -> Hashable:
    """The meaning of a JSON value. Texts for whose path `is_template` holds are read as templates, in which `names`
    says how nodes are called otherwise; what cannot be read means itself."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Mapping):
        return ("object", frozenset((k, meaning(v, (*path, k), is_template, names)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *(meaning(v, (*path, i), is_template, names) for i, v in enumerate(value)))
    if isinstance(value, str) and OPENING in value and is_template is not None and is_template(path):
        return _template(value, names)
    return value  # type: ignore[no-any-return]


def _template(text: str, names: Names) -> Hashable:
    found = scan(text)
    if found.unclosed is not None or found.too_many is not None:
        return text
    try:
        parts = [_shape(parse(part.source), names) if isinstance(part, Hole) else part for part in found.parts]
    except ExpressionError:
        return text
    holes = [made for made, part in zip(parts, found.parts, strict=True) if isinstance(part, Hole)]
    if len(holes) == 1 and all(part.isspace() for part in found.parts if isinstance(part, str)):
        return ("template", holes[0])  # whitespace around a single expression is not part of its value
    return ("template", "text", *parts) if holes else ("template", "literal", *parts)


def _shape(tree: object, names: Names) -> Hashable:
    """A syntax tree without its places in the source."""
    if isinstance(tree, tuple):
        return tuple(_shape(part, names) for part in tree)
    if not is_dataclass(tree):
        return (type(tree).__name__, tree)
    if isinstance(tree, Index) and isinstance(tree.index, Literal) and isinstance(tree.index.value, str):
        return ("Field", tree.index.value, tree.optional)
    if isinstance(tree, Field):
        return ("Field", tree.name, tree.optional)
    if isinstance(tree, Chain):
        steps = [_shape(step, names) for step in tree.steps]
        if isinstance(tree.base, Name) and tree.base.name == "nodes" and steps:
            match steps[0]:
                case ("Field", str(name), optional):
                    steps[0] = ("Field", names.get(name, name), optional)
        return ("Chain", _shape(tree.base, names), *steps)
    return (
        type(tree).__name__,
        *(_shape(getattr(tree, field.name), names) for field in fields(tree) if field.name != "span"),
    )
