"""The source of expressions: pieces of text that know how tightly they bind, joined with the parentheses they need."""

from __future__ import annotations

import json
import math
import re
from typing import Final, NamedTuple

from aicflow_language.expr import ExpressionError, Node
from aicflow_language.expr import parse as parse_expression
from aicflow_language.expr.ast import Arithmetic, Coalesce, Comparison, Conditional, Literal, Logic, Not, Unary
from aicflow_language.expr.limits import MAX_INTEGER
from aicflow_language.expr.parser import RANKS

from aicflow_sdk.errors import BuildError

CONDITIONAL: Final = RANKS["if"]
NOT: Final = RANKS["and"] + 1
UNARY: Final = RANKS["*"] + 1
_PRIMARY: Final = UNARY + 1
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_INVISIBLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufeff]")


class Source(NamedTuple):
    """The text of an expression; `rank` says how tightly its outermost operator binds."""

    text: str
    rank: int = _PRIMARY

    def within(self, rank: int = _PRIMARY) -> str:
        """The text, in parentheses unless it binds as tightly as `rank` asks."""
        return self.text if self.rank >= rank else f"({self.text})"


def binary(operator: str, left: Source, right: Source) -> Source:
    """`left operator right`; the operator may be `not in`."""
    rank = RANKS[operator.partition(" ")[0]]
    # a comparison beside a comparison would be a chain of comparisons
    own = rank + 1 if rank == RANKS["=="] else rank
    return Source(f"{left.within(own)} {operator} {right.within(rank + 1)}", rank)


def literal(value: bool | int | float | str | None) -> Source:
    """A value as an expression. Raises BuildError for numbers that no expression has."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, float) and not math.isfinite(value):
        raise BuildError(f"{value} is not a JSON number.", hint="Expressions have no infinity and no NaN.")
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise BuildError("The integer is too large.", hint="Integers of expressions are below 2^128.")
    text = json.dumps(value, ensure_ascii=False)  # also of subclasses, such as members of IntEnum
    return Source(text, UNARY) if number else Source(_visible(text))  # a path that leads on from a number needs "()"


def parse(text: str) -> Node:
    """The syntax tree of an expression. Raises BuildError that shows the position."""
    try:
        return parse_expression(text)
    except ExpressionError as error:
        raise BuildError(
            f"{error.message}, at character {error.span[0] + 1} of the expression {text[:200]!r}.", hint=error.hint
        ) from None
    except RecursionError:
        raise BuildError(f"The expression {text[:200]!r} is nested too deeply.") from None


def read(text: str) -> Source:
    """The source that somebody wrote. Raises BuildError that shows the position."""
    match parse(text):
        case Conditional():
            rank = CONDITIONAL
        case Coalesce():
            rank = RANKS["??"]
        case Logic(operator=operator) | Arithmetic(rest=((operator, _), *_)):
            rank = RANKS[operator]
        case Not():
            rank = NOT
        case Comparison():
            rank = RANKS["=="]
        case Unary() | Literal(value=int() | float()):
            rank = UNARY
        case _:
            rank = _PRIMARY
    return Source(_visible(text.strip()), rank)


def _visible(text: str) -> str:
    """The source with escapes in place of characters that nobody sees; they can only be inside of texts."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
