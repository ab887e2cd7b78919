"""Where a function is called: what its implementation needs for reading arguments and pointing at them."""

from __future__ import annotations

from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.values import refuse

__all__ = ["Site"]


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
