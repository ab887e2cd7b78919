"""The values this package speaks in: schemas, views into them, JSON pointers, problems and violations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aicflow_language.json_values import pointer as json_pointer
from aicflow_language.json_values import schema_type

from aicflow.language.work import TooCostly as TooCostly
from aicflow.texts import cut

type Schema = dict[str, Any] | bool
type Path = tuple[str | int, ...]

MESSAGE_LIMIT: Final = 200  # characters; a message is read by people, the value itself is elsewhere


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Why a schema cannot be used: `pointer` is the JSON pointer of the offending place in the schema."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value does not fit its schema.

    `pointer` leads into the value, `schema_pointer` to the keyword in the schema document (after following
    references), `message` is at most about 200 characters, `expected` says in a few words what would fit.
    """

    pointer: str
    schema_pointer: str
    message: str
    expected: str


class SchemaError(ValueError):
    """A schema that `check` finds problems in was used; `problems` holds them all."""

    def __init__(self, problems: list[SchemaProblem]) -> None:
        self.problems = problems
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"unusable schema at {first.pointer or 'its root'}: {first.message}{more}")


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer of a path."""
    return json_pointer(*path)


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text, cut to the limit with an ellipsis."""
    return cut(text, limit)


def preview(value: Any) -> str:
    """A few words for a value, whatever its size: `"abc"`, `7`, `a list of 3 items`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        cut = value if len(value) <= 40 else value[:39] + "…"
        return '"' + cut.replace("\n", "\\n").replace("\r", "\\r") + '"'
    if isinstance(value, int):
        # Converting an integer of many thousand digits is slow, and Python refuses it at last.
        return str(value) if value.bit_length() < 128 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return f"a list of {len(value)} item" + ("" if len(value) == 1 else "s")
    if isinstance(value, dict):
        return f"an object with {len(value)} field" + ("" if len(value) == 1 else "s")
    return f"a Python {type(value).__name__}"


json_kind: Final = schema_type


_HASH_MODULUS: Final = (1 << 61) - 1


def freeze(value: Any) -> Any:
    """A hashable stand-in, equal exactly when JSON Schema calls the values equal (1 is 1.0, true is not 1)."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int | float):
        if -_HASH_MODULUS < value < _HASH_MODULUS or value != value or value in (float("inf"), -float("inf")):
            return value
        # Python hashes integers modulo 2^61-1: data could be made to collide, text cannot.
        return ("big", f"{int(value):x}")
    if isinstance(value, list):
        return ("list", *map(freeze, value))
    if isinstance(value, dict):
        return ("dict", frozenset((key, freeze(item)) for key, item in value.items()))
    return value
