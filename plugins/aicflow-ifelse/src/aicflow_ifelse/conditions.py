"""A typed condition as it is in params, how a list of them is decided, and what both node types share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from aicflow import Issue, Params, PermanentError
from pydantic import Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from aicflow_ifelse.operators import PATTERNS, UNARY, CannotCompare, Operator, compare, pattern_problem

ERRORS: Final[Mapping[str, str]] = {"condition-type": "Values that cannot be compared in this way"}

type Match = Literal["all", "any"]

_REFERENCE = re.compile(r"(?<!\$)\$\{\{")


def may_be_left_out(description: str) -> Any:
    """A params field that may be left out but, when it is written, is never null: look into `model_fields_set`."""
    return Field(default=None, validate_default=False, description=description, json_schema_extra=_without_default)


def _without_default(schema: JsonDict) -> None:
    schema.pop("default", None)


def refers(value: Any) -> bool:
    """Whether params as written in a document hold a reference. Where there is none, the params model has seen
    everything, and a check beside it would only say the same again."""
    if isinstance(value, str):
        return _REFERENCE.search(value) is not None
    if isinstance(value, Mapping):
        return any(refers(item) for item in value.values())
    return isinstance(value, list) and any(refers(item) for item in value)


class Condition(Params):
    """One comparison, such as `{left: "${{ input.total }}", operator: greater, right: 100}`."""

    left: Annotated[Any, Field(description="The value to look at.")]
    operator: Annotated[Operator, Field(description="How it is compared.")]
    right: Annotated[Any, Field(description="What it is compared with; left out for operators that need nothing.")] = (
        None
    )
    ignore_case: Annotated[bool, Field(description="Compare texts without regard to case.")] = False

    @model_validator(mode="after")
    def _sides(self) -> Self:
        has_right = "right" in self.model_fields_set
        if self.operator in UNARY and has_right:
            raise PydanticCustomError("right_unused", "the operator '{name}' takes no 'right'", {"name": self.operator})
        if self.operator not in UNARY and not has_right:
            raise PydanticCustomError("right_missing", "the operator '{name}' needs 'right'", {"name": self.operator})
        return self


Conditions = Annotated[list[Condition], Field(min_length=1, max_length=1000)]


def pattern_issues(conditions: Any, pointer: str) -> Iterator[Issue]:
    """The patterns that are written out, in conditions as written in a document, and cannot be used."""
    for index, condition in enumerate(conditions if isinstance(conditions, list) else ()):
        if isinstance(condition, Mapping) and condition.get("operator") in PATTERNS:
            right = condition.get("right")
            problem = pattern_problem(right) if isinstance(right, str) and not refers(right) else None
            if problem is not None:
                yield Issue("param.invalid", "error", f"{pointer}/{index}/right", f"{problem}.")


def holds(conditions: Sequence[Condition], match: Match, pointer: str) -> bool:
    """Whether all (or any) of the conditions hold. The rest is not looked at once that is known, so that a condition
    may guard the ones after it. Raises PermanentError with the pointer of the side that cannot be compared."""
    for index, condition in enumerate(conditions):
        try:
            found = compare(condition.operator, condition.left, condition.right, ignore_case=condition.ignore_case)
        except CannotCompare as error:
            raise PermanentError(
                f"Condition {index + 1}: {error.message}.",
                code="condition-type",
                pointer=f"{pointer}/{index}/{error.side}",
                hint=error.hint,
            ) from None
        if found is (match == "any"):
            return found
    return match == "all"
