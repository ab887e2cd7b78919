"""From Python values with expressions in them to the JSON of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from aicflow_language.template.scanner import OPENING

from aicflow_sdk.build.expr import Expr, source_of
from aicflow_sdk.build.text import Code, hole, no_marks, render_text
from aicflow_sdk.errors import BuildError
from aicflow_sdk.jsonable import NOTHING, plain_json


def render(value: Any, where: str) -> Any:
    """The value as it stands in the document: expressions as `${{ … }}`, a literal `${{` escaped. `where` names the
    place for messages. Raises BuildError."""
    return _written(value, where, _computed)


def plain(value: Any, where: str) -> Any:
    """A value that is not computed, such as a schema or `vars`. Raises BuildError for an expression in it."""
    return _written(value, where, _constant)


def _written(value: Any, where: str, known: Callable[[Any, str], Any]) -> Any:
    try:
        return plain_json(value, where, known)
    except (TypeError, ValueError) as error:
        raise BuildError(f"{error}.") from None


def _computed(value: Any, where: str) -> Any:
    if isinstance(value, Expr):
        return hole(source_of(value).text)
    if isinstance(value, Code):
        return no_marks(str(value), f"{where} is code and")
    if isinstance(value, str) and not isinstance(value, Enum):
        return render_text(value)
    if isinstance(value, Mapping):
        for key in value:
            _check_key(key, where)
    return NOTHING


def _constant(value: Any, where: str) -> Any:
    if isinstance(value, Expr):
        raise BuildError(
            f"{where} cannot hold an expression: {value!r}.",
            hint="Only values of params, of a trigger's input and of the output are computed.",
        )
    return no_marks(str(value), where) if isinstance(value, str) and not isinstance(value, Enum) else NOTHING


def _check_key(key: Any, where: str) -> None:
    if not isinstance(key, str):
        raise BuildError(f"{where}: the key {key!r} is not text.", hint="Keys of JSON objects are text.")
    no_marks(key, f"{where}: a key")
    if OPENING in key:
        raise BuildError(
            f"{where}: the key {key!r} holds '{OPENING}'; keys are not interpolated.",
            hint='Write the whole object as one expression: expr("{input.name: 1}").',
        )


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
