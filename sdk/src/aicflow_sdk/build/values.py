"""From Python values with expressions in them to the JSON of a document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from aicflow_language.template.scanner import OPENING

from aicflow_sdk.build.expr import Expr, source_of, unusable
from aicflow_sdk.build.text import Code, hole, no_marks, render_text
from aicflow_sdk.errors import BuildError
from aicflow_sdk.jsonable import NOTHING, simpler

__all__ = ["mapping", "plain", "render", "sequence"]


def render(value: Any, where: str) -> Any:
    """The value as it stands in the document: expressions as `${{ … }}`, a literal `${{` escaped. `where` names the
    place for messages. Raises BuildError."""
    if isinstance(value, Expr):
        return hole(source_of(value).text)
    if isinstance(value, Enum):
        return render(value.value, where)
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
    try:
        found = simpler(value)
    except ValueError as error:
        raise BuildError(f"{where} {error}.") from None
    if found is not NOTHING:
        return render(found, where)
    raise BuildError(f"{where}: {unusable(value)}.")


def mapping(value: Any, where: str) -> dict[str, Any]:
    """A dict of what is given by name; an empty one for None. Raises BuildError for anything else."""
    if value is not None and not isinstance(value, Mapping):
        raise BuildError(f"{where} is a dict, not {value!r}.")
    return dict(value or {})


def sequence(value: Any, where: str) -> list[Any]:
    """A list of what is given in order. Raises BuildError for anything else."""
    if not isinstance(value, list | tuple):
        raise BuildError(f"{where} is a list, not {value!r}.")
    return list(value)


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
    if isinstance(value, str) and not isinstance(value, Enum):
        return no_marks(str(value), where)
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    return render(value, where)
