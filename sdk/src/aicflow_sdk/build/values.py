"""From Python values with expressions in them to the JSON of a document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aicflow_sdk.build.expr import Expr, tree_of, unusable
from aicflow_sdk.build.text import OPENING, Code, hole, no_marks, render_text
from aicflow_sdk.errors import BuildError

__all__ = ["plain", "render"]


def render(value: Any, where: str) -> Any:
    """The value as it stands in the document: expressions as `${{ … }}`, a literal `${{` escaped. `where` names the
    place for messages. Raises BuildError."""
    if isinstance(value, Expr):
        return hole(tree_of(value))
    if isinstance(value, Code):
        return no_marks(str(value), f"{where} is code and")
    if isinstance(value, str):
        return render_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BuildError(f"{where}: {value} is not a JSON number.")
        return value
    if isinstance(value, list | tuple):
        return [render(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(key, where): render(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise BuildError(f"{where}: {unusable(value)}.")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise BuildError(f"{where}: the key {key!r} is not text.", hint="Keys of JSON objects are text.")
    no_marks(key, f"{where}: a key")
    if OPENING in key:
        raise BuildError(
            f"{where}: the key {key!r} holds '{OPENING}'; keys are not interpolated.",
            hint='Write the whole object as one expression: expr("{input.name: 1}").',
        )
    return key


def plain(value: Any, where: str) -> Any:
    """A value that is not computed, such as a schema or `vars`. Raises BuildError for an expression in it."""
    if isinstance(value, Expr):
        raise BuildError(
            f"{where} cannot hold an expression: {value!r}.",
            hint="Only values of params, of a trigger's input and of the output are computed.",
        )
    if isinstance(value, str):
        return no_marks(str(value), where)
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    return render(value, where)
