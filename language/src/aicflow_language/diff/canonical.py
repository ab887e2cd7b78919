"""Values in one form: the same for texts that are only spelled differently.

A canonical form can be compared and hashed. Numbers are equal as in JSON (1 is 1.0, true is neither), the order of keys
does not count, and two expressions are equal when they are the same once read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from aicflow_language.expr import ExpressionError, parse
from aicflow_language.expr.ast import Arithmetic, Chain, Coalesce, Comparison, Field, Index, Literal, Logic, Name
from aicflow_language.expr.parser import RANKS
from aicflow_language.template.scanner import OPENING, Hole, scan

type Path = tuple[str | int, ...]
type Names = Mapping[str, str]

NO_NAMES: Final[Names] = {}


def canonical(
    value: Any, path: Path = (), is_template: Callable[[Path], bool] | None = None, names: Names = NO_NAMES
) -> Hashable:
    """The canonical form of a JSON value. Texts for whose path `is_template` holds are read as templates, in which
    nodes are renamed by `names`; a text that cannot be read stays as it is."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Mapping):
        return ("object", frozenset((k, canonical(v, (*path, k), is_template, names)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *(canonical(v, (*path, i), is_template, names) for i, v in enumerate(value)))
    if isinstance(value, str) and OPENING in value and is_template is not None and is_template(path):
        return _template(value, names)
    return value  # type: ignore[no-any-return]


def _template(text: str, names: Names) -> Hashable:
    found = scan(text)
    if found.unclosed is not None or found.too_many is not None:
        return text
    try:
        parts = [_tree(parse(part.source), names) if isinstance(part, Hole) else part for part in found.parts]
    except ExpressionError:
        return text
    holes = [made for made, part in zip(parts, found.parts, strict=True) if isinstance(part, Hole)]
    if len(holes) == 1 and all(part.isspace() for part in found.parts if isinstance(part, str)):
        return ("template", holes[0])  # whitespace around a single expression is not part of its value
    return ("template", "text", *parts) if holes else ("template", "literal", *parts)


def _tree(tree: object, names: Names) -> tuple[Hashable, ...]:
    """A syntax tree without its positions in the source, and without parentheses that change nothing."""
    if isinstance(tree, tuple):
        return tuple(_tree(part, names) for part in tree)
    if not is_dataclass(tree):
        return (type(tree).__name__, tree)
    match tree:
        case Field(name, optional) | Index(Literal(str(name)), optional):
            return ("Field", name, optional)
        case Chain(base, steps):
            made = [_tree(step, names) for step in steps]
            if isinstance(base, Name) and base.name == "nodes" and made[0][0] == "Field":
                made[0] = ("Field", names.get(str(made[0][1]), made[0][1]), made[0][2])
            return ("Chain", _tree(base, names), *made)
        case Comparison(first, rest):
            operands = [_tree(operand, names) for operand in (first, *(operand for _, operand in rest))]
            pairs = [
                ("Not", ("in", left, right)) if operator == "not in" else (operator, left, right)
                for (operator, _), left, right in zip(rest, operands, operands[1:], strict=False)
            ]
            return pairs[0] if len(pairs) == 1 else ("Logic", "and", *pairs)
        case Logic(operator, operands):
            return _flat(("Logic", operator), [_tree(operand, names) for operand in operands])
        case Coalesce(operands):
            return _flat(("Coalesce", None), [_tree(operand, names) for operand in operands])
        case Arithmetic(first, rest):
            following = [(operator, _tree(operand, names)) for operator, operand in rest]
            return _flat(("Arithmetic", RANKS[rest[0][0]]), [_tree(first, names), *following])
    parts = (_tree(getattr(tree, field.name), names) for field in fields(tree) if field.name != "span")
    return (type(tree).__name__, *parts)


def _flat(head: tuple[Hashable, ...], operands: list[tuple[Hashable, ...]]) -> tuple[Hashable, ...]:
    """Operators of one rank: `(a + b) + c` is `a + b + c`."""
    first = operands[0][2:] if operands[0][:2] == head else operands[:1]
    return (*head, *first, *operands[1:])
