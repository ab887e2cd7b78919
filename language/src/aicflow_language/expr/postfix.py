"""Reading what follows a value: fields, subscripts, slices, and the arguments of calls."""

from __future__ import annotations

from collections.abc import Callable

from aicflow_language.expr.ast import Field, Index, Method, Node, Slice, Step
from aicflow_language.expr.errors import ExpressionError
from aicflow_language.expr.signatures import check_method
from aicflow_language.expr.stream import TokenStream

__all__ = ["arguments", "steps"]


def steps(tokens: TokenStream, expression: Callable[[], Node]) -> list[Step]:
    """The steps that lead on from the value just read, none if something else follows."""
    found: list[Step] = []
    tallest = tokens.height
    while True:
        tallest = tokens.height = max(tallest, tokens.height)
        kind = tokens.kind
        if kind in (".", "?."):
            found.append(_field_or_method(tokens, expression))
        elif kind in ("[", "?["):
            found.append(_subscript(tokens, expression))
        elif kind == "(":
            raise ExpressionError(
                "expr.unsupported",
                "Only functions can be called",
                tokens.token.span,
                "Write function(value) or value.method().",
            )
        else:
            return found


def _field_or_method(tokens: TokenStream, expression: Callable[[], Node]) -> Step:
    dot = tokens.advance()
    optional = dot.kind == "?."
    name = tokens.token
    if name.kind != "name" and not name.is_word:
        hint = 'Write other keys as ["key"], and items of a list as [0].'
        raise tokens.unexpected(f"a name after '{dot.text}'", hint)
    tokens.advance()
    if tokens.kind != "(":
        return Field(name.text, optional, name.span)
    given, end = arguments(tokens, expression)
    check_method(name.text, given, name.span, (name.start, end))
    return Method(name.text, tuple(given), optional, (name.start, end))


def _subscript(tokens: TokenStream, expression: Callable[[], Node]) -> Step:
    opening = tokens.open()
    optional = opening.kind == "?["
    if tokens.kind == "]":
        raise tokens.unexpected("an index or a key")
    lower = None if tokens.kind == ":" else expression()
    if tokens.kind != ":":
        assert lower is not None
        return Index(lower, optional, (opening.start, tokens.close(opening, "]").end))
    tokens.advance()
    tallest = tokens.height
    upper = None if tokens.kind in ("]", ":") else expression()
    tokens.height = max(tallest, tokens.height)
    if tokens.kind == ":":
        raise ExpressionError("expr.unsupported", "Slices have no step", tokens.token.span, "Write [start:end].")
    return Slice(lower, upper, optional, (opening.start, tokens.close(opening, "]").end))


def arguments(tokens: TokenStream, expression: Callable[[], Node]) -> tuple[list[Node], int]:
    """The arguments between the parentheses, and the end of the closing one."""
    opening = tokens.open()
    given: list[Node] = []
    tallest = 0
    while tokens.kind != ")":
        if tokens.kind in ("*", "/"):
            raise tokens.unexpected("an argument")
        given.append(expression())
        tallest = max(tallest, tokens.height)
        if tokens.kind == "for":
            raise ExpressionError(
                "expr.unsupported",
                "A loop stands in brackets",
                tokens.token.span,
                "Write function([expression for x in list]).",
            )
        if tokens.kind != ",":
            break
        tokens.advance()
    tokens.height = tallest
    return given, tokens.close(opening, ")").end
