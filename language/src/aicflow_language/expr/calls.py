"""What a function of the language is: how it is called, and what its implementation needs for reading arguments and
pointing at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.values import refuse

type Implementation = Callable[..., object]
"""Called with the site of the call, the frame, and the values of the arguments."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One function. `returns` are the JSON Schema types that it can return; empty when that depends on its arguments.
    A `method` may also be written behind its first argument: `text.lower()`. `maximum` is None for any number."""

    name: str
    usage: str
    minimum: int
    maximum: int | None
    method: bool
    returns: tuple[str, ...]
    summary: str


SIGNATURES: Final[dict[str, Signature]] = {}
IMPLEMENTATIONS: Final[dict[str, Implementation]] = {}


def function[I: Implementation](
    usage: str, summary: str, *returns: str, method: bool = False, minimum: int | None = None
) -> Callable[[I], I]:
    """Makes a Python function the implementation of the function that is written as `usage`. How many arguments it
    takes is read from its parameters, unless `minimum` says less."""

    def register(implementation: I) -> I:
        name, code = usage.partition("(")[0], implementation.__code__
        most = code.co_argcount - 2  # without the site and the frame
        least = most - len(implementation.__defaults__ or ()) if minimum is None else minimum
        variadic = bool(code.co_flags & 0x04)
        SIGNATURES[name] = Signature(
            name, usage, least + variadic, None if variadic else most, method, returns, summary
        )
        IMPLEMENTATIONS[name] = implementation
        return implementation

    return register


class Site:
    """One call in the source: the function, the whole call's span, and the span of each argument."""

    __slots__ = ("arguments", "name", "span")

    def __init__(self, name: str, span: Span, arguments: tuple[Span, ...]) -> None:
        self.name = name
        self.span = span
        self.arguments = arguments

    def at(self, position: int) -> Span:
        """The span of one argument."""
        return self.arguments[position] if position < len(self.arguments) else self.span

    def wrong(self, position: int, value: object, wanted: str, hint: str | None = None) -> EvaluationError:
        """The error for an argument of the wrong type."""
        return refuse(value, f"{wanted} for '{self.name}'", self.at(position), hint)

    def bad(self, message: str, position: int = 0, hint: str | None = None) -> EvaluationError:
        """The error for an argument of the right type whose value does not do."""
        return EvaluationError("eval.value", message, self.at(position), hint)

    def text(self, position: int, value: object) -> str:
        """The argument, which must be text."""
        if isinstance(value, str) and type(value) is str:
            return value
        hint = 'For a default instead of null, write (value ?? "").' if value is None else None
        raise self.wrong(position, value, "text", hint)

    def items(self, position: int, value: object) -> list[object]:
        """The argument, which must be a list."""
        if isinstance(value, list) and type(value) is list:
            return value
        hint = "For a default instead of null, write (value ?? [])." if value is None else None
        raise self.wrong(position, value, "a list", hint)

    def object(self, position: int, value: object) -> dict[str, object]:
        """The argument, which must be an object."""
        if isinstance(value, dict) and type(value) is dict:
            return value
        hint = "For a default instead of null, write (value ?? {})." if value is None else None
        raise self.wrong(position, value, "an object", hint)
