"""The functions of expressions: `fn.len(value)` is written as `len(value)` and computed when the workflow runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aicflow_language.expr import FUNCTIONS, ROOTS, Signature

from aicflow_sdk.build.expr import Expr, call, root, source_of
from aicflow_sdk.build.source import CONDITIONAL, Source, binary


@dataclass(frozen=True, slots=True)
class _Function:
    known: Signature

    def __call__(self, *arguments: Any) -> Any:
        known, count = self.known, len(arguments)
        if count < known.minimum or (known.maximum is not None and count > known.maximum):
            fewest, most = known.minimum, known.maximum
            wanted = str(fewest) if fewest == most else f"{fewest} to {most or 'any number'}"
            raise TypeError(f"fn.{known.name} takes {wanted} arguments, not {count}: {known.usage}, {known.summary}")
        return call(known.name, *arguments)


class _Contains(Expr):
    """`item in container`, and when it is negated `item not in container`."""

    __slots__ = ("__sides",)

    def __init__(self, item: Any, container: Any) -> None:
        sides = source_of(item), source_of(container)
        super().__init__(binary("in", *sides))
        object.__setattr__(self, "_Contains__sides", sides)

    def __invert__(self) -> Expr:
        return Expr(binary("not in", *object.__getattribute__(self, "_Contains__sides")))


class _Functions:
    """Every function of the language by its name, and what is written with words: `contains`, `each`."""

    def __getattr__(self, name: str) -> _Function:
        if name in FUNCTIONS:
            return _Function(FUNCTIONS[name])
        raise AttributeError(f"expressions have no function {name!r}; there are {', '.join(FUNCTIONS)}, contains, each")

    def __dir__(self) -> list[str]:
        return sorted([*FUNCTIONS, "contains", "each"])

    @staticmethod
    def contains(container: Any, item: Any) -> Any:
        """`item in container`: an item of a list, a key of an object, a part of a text."""
        return _Contains(item, container)

    @staticmethod
    def each(items: Any, make: Callable[[Any], Any], *, where: Callable[[Any], Any] | None = None) -> Any:
        """`[make(x) for x in items if where(x)]`; the parameter's name becomes the variable's."""
        variable = _variable(make)
        item = root(variable)
        condition = "" if where is None else f" if {source_of(where(item)).within(CONDITIONAL + 1)}"
        of = source_of(items).within(CONDITIONAL + 1)
        return Expr(Source(f"[{source_of(make(item)).text} for {variable} in {of}{condition}]"))


def _variable(make: Callable[..., Any]) -> str:
    names = list(inspect.signature(make).parameters)
    if len(names) != 1:
        raise TypeError("fn.each takes a function of one parameter: lambda item: item.name")
    name = names[0]
    taken = {*ROOTS, "null", "true", "false"}
    return name if name.isascii() and name not in taken else f"{name}_" if name.isascii() else "item"


fn: Final = _Functions()
