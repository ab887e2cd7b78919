"""The functions of expressions: `fn.len(value)` is written as `len(value)` and computed when the workflow runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aicflow_sdk.build.expr import Expr, tree_of
from aicflow_sdk.build.trees import Binary, Call, Loop, Root

__all__ = ["FUNCTIONS", "fn"]

FUNCTIONS: Final[Mapping[str, tuple[int, int | None, str]]] = {
    "len": (1, 1, "characters, items or keys"),
    "str": (1, 1, "a text, number or boolean as text"),
    "int": (1, 1, "a text or number as an integer"),
    "float": (1, 1, "a text or number as a float"),
    "sum": (1, 1, "the numbers of a list added up"),
    "min": (1, None, "the smallest of a list, or of the arguments"),
    "max": (1, None, "the largest of a list, or of the arguments"),
    "any": (1, 1, "whether one item is true"),
    "all": (1, 1, "whether every item is true"),
    "abs": (1, 1, "a number without its sign"),
    "round": (1, 2, "round(number, digits=None)"),
    "sorted": (1, 2, "sorted(list, descending=False)"),
    "lower": (1, 1, "a text in small letters"),
    "upper": (1, 1, "a text in capital letters"),
    "strip": (1, 2, "strip(text, characters=None)"),
    "split": (1, 2, "split(text, separator=None)"),
    "replace": (3, 3, "replace(text, old, new)"),
    "startswith": (2, 2, "startswith(text, start)"),
    "endswith": (2, 2, "endswith(text, end)"),
    "join": (1, 2, 'join(list, separator="")'),
    "keys": (1, 1, "the keys of an object"),
    "values": (1, 1, "the values of an object"),
    "get": (2, 3, "get(value, key, default=None)"),
    "json": (1, 1, "any value as JSON text"),
    "parse_json": (1, 1, "the value of a JSON text"),
    "has": (1, 2, "has(path) or has(object, key)"),
}
"""Each with the fewest and the most arguments it takes."""


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    fewest: int
    most: int | None
    summary: str

    def __call__(self, *arguments: Any) -> Any:
        count = len(arguments)
        if count < self.fewest or (self.most is not None and count > self.most):
            wanted = str(self.fewest) if self.fewest == self.most else f"{self.fewest} to {self.most or 'any number'}"
            raise TypeError(f"fn.{self.name} takes {wanted} arguments, not {count}: {self.summary}")
        return Expr(Call(self.name, tuple(map(tree_of, arguments))))


class _Functions:
    """Every function of the language by its name, and what is written with words: `contains`, `each`."""

    def __getattr__(self, name: str) -> _Function:
        if name in FUNCTIONS:
            return _Function(name, *FUNCTIONS[name])
        raise AttributeError(f"expressions have no function {name!r}; there are {', '.join(FUNCTIONS)}, contains, each")

    def __dir__(self) -> list[str]:
        return sorted([*FUNCTIONS, "contains", "each"])

    @staticmethod
    def contains(container: Any, item: Any) -> Any:
        """`item in container`: an item of a list, a key of an object, a part of a text."""
        return Expr(Binary("in", tree_of(item), tree_of(container)))

    @staticmethod
    def each(items: Any, make: Callable[[Any], Any], *, where: Callable[[Any], Any] | None = None) -> Any:
        """`[make(x) for x in items if where(x)]`; the parameter's name becomes the variable's."""
        variable = _variable(make)
        item = Expr(Root(variable))
        condition = None if where is None else tree_of(where(item))
        return Expr(Loop(tree_of(make(item)), variable, tree_of(items), condition))


def _variable(make: Callable[..., Any]) -> str:
    names = list(inspect.signature(make).parameters)
    if len(names) != 1:
        raise TypeError("fn.each takes a function of one parameter: lambda item: item.name")
    name = names[0]
    taken = {"input", "trigger", "nodes", "vars", "secrets", "execution", "null", "true", "false"}
    return name if name.isascii() and name not in taken else f"{name}_" if name.isascii() else "item"


fn: Final = _Functions()
