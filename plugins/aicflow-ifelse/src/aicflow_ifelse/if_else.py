"""The node type logic.if_else: one boolean, or a list of typed conditions, and two ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from aicflow import Context, Exit, Issue, Node, Output, Params
from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from aicflow_ifelse.conditions import ERRORS, Conditions, Match, holds, may_be_left_out, pattern_issues, refers

_ONE_OF = "needs either 'condition' or 'conditions'"


class IfElseParams(Params):
    """Either `condition` or `conditions`."""

    condition: StrictBool = may_be_left_out("What decides: true or false, nothing else.")
    conditions: Conditions = may_be_left_out("Comparisons, decided from the first to the last.")
    match: Annotated[Match, Field(description="Whether all conditions must hold, or any one.")] = "all"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len({"condition", "conditions"} & self.model_fields_set) != 1:
            raise PydanticCustomError("one_of", _ONE_OF)
        return self


class IfElseOutput(Output):
    """What was decided; the port says the same."""

    result: bool


class IfElse(Node[IfElseParams, IfElseOutput]):
    """Go on by port `true` or port `false`.

    Set `condition`, a `${{ … }}` expression that is true or false and nothing else (1 and "true" are errors), or
    `conditions`, a list of typed comparisons of which all (or, with `match: any`, one) must hold.
    """

    type_id = "logic.if_else"
    title = "If / else"
    category = "logic"
    errors = ERRORS
    ports = ("true", "false")
    pure = True

    async def run(self, ctx: Context, params: IfElseParams) -> Exit[IfElseOutput]:
        """Decide. Raises PermanentError for values that cannot be compared."""
        if "condition" in params.model_fields_set:
            result = params.condition
        else:
            result = holds(params.conditions, params.match, "/conditions")
        return Exit("true" if result else "false", IfElseOutput(result=result))

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Exactly one of `condition` and `conditions` must be written, which the model sees only without references;
        patterns must be ones."""
        written = [key for key in ("condition", "conditions") if key in params]
        if len(written) == 1 or not refers(params):
            return tuple(pattern_issues(params.get("conditions"), "/conditions"))
        return (
            Issue(
                "param.invalid" if written else "param.missing",
                "error",
                "/conditions" if written else "",
                f"{'Both are set' if written else 'Nothing decides'}: {_ONE_OF}.",
                hint="Write condition: ${{ input.total > 100 }}" if not written else "Remove one of them.",
            ),
        )
