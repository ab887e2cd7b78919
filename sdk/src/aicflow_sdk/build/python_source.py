"""From values and expressions of a document to Python source that builds them again."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow_language.expr import FUNCTIONS, ROOTS
from aicflow_language.expr.ast import (
    Arithmetic,
    Call,
    Chain,
    Coalesce,
    Comparison,
    Comprehension,
    Conditional,
    DictDisplay,
    Field,
    Index,
    ListDisplay,
    Literal,
    Logic,
    Method,
    Name,
    Node,
    Not,
    Slice,
    Step,
    Unary,
)
from aicflow_language.template.scanner import Hole, scan

from aicflow_sdk.build.expr import METHODS, RESERVED
from aicflow_sdk.build.source import parse
from aicflow_sdk.errors import BuildError

_OPERATORS: Final = {"and": "&", "or": "|"}
_RANKS: Final = {"|": 1, "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "//": 4, "%": 4}
"""How tightly Python's operators bind. Comparisons bind least (0): they get parentheses inside of everything."""
_ATOM: Final = 9
_WIDTH: Final = 100
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(slots=True)
class Names:
    """The variables of nodes by id, and which are defined already."""

    nodes: Mapping[str, str]
    defined: set[str] = field(default_factory=set)
    roots: Mapping[str, str] = field(default_factory=dict)
    """How the roots inside of bodies are written: the item, `carry`, `index`."""


class _Unwritable(Exception):
    """This expression has no form in Python but its source."""


def python_value(value: Any, names: Names, indent: int = 0) -> str:
    """A value of a document as Python source; rendering what it builds makes a value that means the same. Lists and
    objects that are too long for a line have a line for each item; `indent` is how far right they stand."""
    if isinstance(value, Mapping):
        items = [f"{repr_text(key)}: {python_value(item, names, indent + 4)}" for key, item in value.items()]
        return _bracketed("{", items, "}", indent)
    if isinstance(value, list):
        return _bracketed("[", [python_value(item, names, indent + 4) for item in value], "]", indent)
    if not isinstance(value, str):
        return repr(value)
    found = scan(value)
    parts = found.parts
    if (found.unclosed, found.too_many) != (None, None) or not all(
        _readable(part) for part in parts if isinstance(part, Hole)
    ):
        return f"Code({repr_text(value)})"  # no expression; it is left as it is
    if all(isinstance(part, str) for part in parts):
        return repr_text("".join(str(part) for part in parts))
    holes = [part for part in parts if isinstance(part, Hole)]
    if len(holes) == 1 and all(part.isspace() for part in parts if isinstance(part, str)):
        return expression(holes[0], names)
    return 'f"' + "".join(_piece(part, names) for part in parts) + '"'


def plain_value(value: Any, indent: int = 4) -> str:
    """A value that is not computed, as Python source."""
    if isinstance(value, Mapping):
        items = [f"{repr_text(key)}: {plain_value(item, indent + 4)}" for key, item in value.items()]
        return _bracketed("{", items, "}", indent)
    if isinstance(value, list):
        return _bracketed("[", [plain_value(item, indent + 4) for item in value], "]", indent)
    return repr_text(value) if isinstance(value, str) else repr(value)


def _bracketed(opening: str, items: list[str], closing: str, indent: int) -> str:
    line = opening + ", ".join(items) + closing
    if len(line) + indent <= _WIDTH and "\n" not in line:
        return line
    space = "\n" + " " * (indent + 4)
    return opening + "".join(f"{space}{item}," for item in items) + "\n" + " " * indent + closing


def _piece(part: str | Hole, names: Names) -> str:
    """A part of an f-string."""
    if isinstance(part, str):
        return repr_text(part)[1:-1].replace("{", "{{").replace("}", "}}")
    inner = expression(part, names)
    return "{" + (f" {inner}" if inner.startswith("{") else inner) + "}"


def _readable(hole: Hole) -> bool:
    try:
        parse(hole.source)
    except BuildError:
        return False
    return True


def expression(hole: Hole, names: Names) -> str:
    """The expression as Python source."""
    tree = parse(hole.source)
    try:
        written, _ = _python(tree, names, frozenset())
    except _Unwritable:
        return f"expr({repr_text(hole.source)})"
    # what is a plain value in Python is an expression in the document, and stays one
    return written if _is_expr(tree) else f"expr({repr_text(hole.source)})"


def _is_expr(tree: Node) -> bool:
    """Whether Python makes an expression of what `_python` writes, and not a plain value."""
    return not isinstance(tree, Literal | ListDisplay | DictDisplay)


def _python(tree: Node, names: Names, local: frozenset[str]) -> tuple[str, int]:
    """The source and how tightly it binds. Raises _Unwritable."""

    def inner(part: Node, rank: int) -> str:
        written, own = _python(part, names, local)
        return written if own >= rank else f"({written})"

    match tree:
        case Literal(value):
            return (repr_text(value) if isinstance(value, str) else repr(value)), 5 if str(value)[:1] == "-" else _ATOM
        case Name(name) if name in local:
            return name, _ATOM
        case Name(name) if name in names.roots:
            return names.roots[name], _ATOM
        case Name(name) if name in ROOTS and name != "nodes":
            return f"wf.{name}", _ATOM
        case Chain(base, steps):
            return _chain(base, steps, names, local), _ATOM
        case Unary(operator, operand) if _is_expr(operand):
            return operator + inner(operand, 5), 5
        case Not(operand) if _is_expr(operand):
            return "~" + inner(operand, 5), 5
        case Coalesce((first, *others)) if _is_expr(first):
            return f"{inner(first, _ATOM)}.coalesce({', '.join(inner(other, 0) for other in others)})", _ATOM
        case Comparison(left, ((("in" | "not in") as operator, right),)):
            written = f"fn.contains({inner(right, 0)}, {inner(left, 0)})"
            return (written, _ATOM) if operator == "in" else ("~" + written, 5)
        case Comparison(left, ((operator, right),)) if _is_expr(left):
            return f"{inner(left, 1)} {operator} {inner(right, 1)}", 0  # a plain value left would turn it around
        case Comparison(first, rest) if len(rest) > 1:
            operands = (first, *(operand for _, operand in rest))
            pairs = [Comparison(left, (pair,), tree.span) for left, pair in zip(operands, rest, strict=False)]
            return " & ".join(inner(pair, 3) for pair in pairs), 2
        case Logic(operator, operands):
            rest = tuple((_OPERATORS[operator], operand) for operand in operands[1:])
            return _operators(operands[0], rest, inner)
        case Arithmetic(Literal(str()), (("%", _), *_)):
            pass  # Python would format the text
        case Arithmetic(first, rest):
            return _operators(first, rest, inner)
        case Conditional(test, then, otherwise):
            return f"when({inner(test, 0)}, {inner(then, 0)}, {inner(otherwise, 0)})", _ATOM
        case Call(function, arguments) if function in FUNCTIONS:
            return f"fn.{function}({', '.join(inner(argument, 0) for argument in arguments)})", _ATOM
        case ListDisplay(items):
            return "[" + ", ".join(inner(item, 0) for item in items) + "]", _ATOM
        case DictDisplay(items) if all(isinstance(key, Literal) and isinstance(key.value, str) for key, _ in items):
            return "{" + ", ".join(f"{inner(key, 0)}: {inner(item, 0)}" for key, item in items) + "}", _ATOM
        case Comprehension():
            return _loop(tree, names, local), _ATOM
    raise _Unwritable


def _operators(first: Node, rest: tuple[tuple[str, Node], ...], inner: Callable[[Node, int], str]) -> tuple[str, int]:
    """Operators of one rank, from left to right."""
    if not _is_expr(first) and not _is_expr(rest[0][1]):
        raise _Unwritable  # Python would compute it
    rank = _RANKS[rest[0][0]]
    return inner(first, rank) + "".join(f" {sign} {inner(operand, rank + 1)}" for sign, operand in rest), rank


def _chain(base: Node, steps: tuple[Step, ...], names: Names, local: frozenset[str]) -> str:
    rest = list(steps)
    if isinstance(base, Name) and base.name == "nodes" and "nodes" not in local:
        written = _node(rest, names)
    elif isinstance(base, Chain) or not _is_expr(base):
        raise _Unwritable  # Python would make one path of it
    else:
        written, own = _python(base, names, local)
        written = written if own == _ATOM else f"({written})"
    for step in rest:
        written += _step(step, names, local)
    return written


def _node(steps: list[Step], names: Names) -> str:
    """`nodes.id.output` as the node's own attribute; takes the steps that it uses."""
    if len(steps) < 2 or not isinstance(steps[0], Field) or not isinstance(steps[1], Field) or steps[0].optional:
        raise _Unwritable
    node_id, what = steps[0].name, steps[1]
    if node_id not in names.nodes or what.name not in ("output", "error") or (what.optional and what.name == "error"):
        raise _Unwritable
    if node_id not in names.defined:
        raise _Unwritable
    del steps[:2]
    return f"{names.nodes[node_id]}{'.maybe' if what.optional else ''}.{what.name}"


def _step(step: Step, names: Names, local: frozenset[str]) -> str:
    def inner(part: Node | None) -> str:
        return "" if part is None else _python(part, names, local)[0]

    optional = ".maybe" if step.optional else ""
    match step:
        case Field(name):
            if keyword.iskeyword(name) or name in RESERVED or name.startswith("__"):
                raise _Unwritable
            return f"{optional}.{name}"
        case Index(index):
            if isinstance(index, Literal) and (not isinstance(index.value, str | int) or isinstance(index.value, bool)):
                raise _Unwritable
            if isinstance(index, ListDisplay | DictDisplay):
                raise _Unwritable
            return f"{optional}[{inner(index)}]"
        case Slice(lower, upper):
            if any(isinstance(end, Literal) and end.value is None for end in (lower, upper)):
                raise _Unwritable  # Python cannot tell a null from nothing
            return f"{optional}[{inner(lower)}:{inner(upper)}]"
        case Method(name, arguments):
            if name not in METHODS:
                raise _Unwritable
            return f"{optional}.{name}({', '.join(map(inner, arguments))})"


def _loop(tree: Comprehension, names: Names, local: frozenset[str]) -> str:
    name = tree.variable
    if keyword.iskeyword(name) or name in (*ROOTS, "wf", "fn"):
        raise _Unwritable
    if name in ("when", "expr", *names.nodes.values(), *names.roots, *names.roots.values()) or name in local:
        raise _Unwritable
    within = local | {name}
    items, _ = _python(tree.iterable, names, local)
    element, _ = _python(tree.element, names, within)
    where = f", where=lambda {name}: {_python(tree.condition, names, within)[0]}" if tree.condition is not None else ""
    return f"fn.each({items}, lambda {name}: {element}{where})"


def repr_text(value: str) -> str:
    """Text as Python source in double quotes, without anything that cannot be seen."""
    return '"' + "".join(_ESCAPES.get(character) or _seen(character) for character in value) + '"'


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
