"""The node type logic.switch: named cases, each a port of its own, and a default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from aicflow import Context, Exit, Issue, Node, Output, Params, json_equal
from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from aicflow_ifelse.conditions import ERRORS, Conditions, Match, holds, may_be_left_out, pattern_issues, refers

DEFAULT = "default"
_RESERVED = (DEFAULT, "error")
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
_WAYS = ("equals", "condition", "conditions")
_ONE_OF = "a case needs exactly one of 'equals', 'condition' and 'conditions'"


class SwitchCase(Params):
    """One named case: it matches when `equals` equals the switch's value, or when its own condition holds."""

    name: Annotated[str, Field(pattern=_NAME, description="The name of the case and of its port.")]
    equals: Any = may_be_left_out("Matches when the switch's 'value' equals this.")
    condition: StrictBool = may_be_left_out("Matches when true.")
    conditions: Conditions = may_be_left_out("Comparisons, decided from the first to the last.")
    match: Annotated[Match, Field(description="Whether all conditions must hold, or any one.")] = "all"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if len(set(_WAYS) & self.model_fields_set) != 1:
            raise PydanticCustomError("one_of", _ONE_OF)
        if self.name in _RESERVED:
            raise PydanticCustomError("reserved", "'{name}' is a port already; use another name", {"name": self.name})
        return self


class SwitchParams(Params):
    """`value` is needed when a case says `equals`."""

    value: Annotated[Any, Field(description="The value that cases with 'equals' are compared with.")] = None
    cases: Annotated[
        list[SwitchCase], Field(min_length=1, max_length=1000, description="Tried from the first to the last.")
    ]

    @model_validator(mode="after")
    def _fit(self) -> Self:
        seen: set[str] = set()
        for index, case in enumerate(self.cases):
            if case.name in seen:
                raise PydanticCustomError(
                    "duplicate", "cases/{index}: another case is called '{name}'", {"index": index, "name": case.name}
                )
            seen.add(case.name)
            if "equals" in case.model_fields_set and "value" not in self.model_fields_set:
                raise PydanticCustomError(
                    "no_value", "cases/{index}: 'equals' needs 'value' on the switch", {"index": index}
                )
        return self


class SwitchOutput(Output):
    """The case that matched, or `default`; the port says the same."""

    case: str


class Switch(Node[SwitchParams, SwitchOutput]):
    """Go on by the port of the first case that matches, or by port `default`.

    A case matches by `equals` (compared with `value`), by `condition` (true or false), or by a list of typed
    `conditions`. Case names are written out, never computed, because they are the node's ports.
    """

    type_id = "logic.switch"
    title = "Switch"
    category = "logic"
    errors = ERRORS
    ports = (DEFAULT,)
    pure = True

    async def run(self, ctx: Context, params: SwitchParams) -> Exit[SwitchOutput]:
        """Find the first case that matches. Raises PermanentError for values that cannot be compared."""
        for index, case in enumerate(params.cases):
            if _matches(case, params.value, f"/cases/{index}/conditions"):
                return Exit(case.name, SwitchOutput(case=case.name))
        return Exit(DEFAULT, SwitchOutput(case=DEFAULT))

    @classmethod
    def ports_for(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the cases as written, then `default`."""
        return (*dict.fromkeys(name for _, name in _names(params)), DEFAULT)

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The output can only name one of the ports."""
        return {
            "type": "object",
            "properties": {"case": {"type": "string", "enum": list(cls.ports_for(params))}},
            "required": ["case"],
            "additionalProperties": False,
        }

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Names that clash or are taken, cases that say two things, and `equals` without a value, where references keep
        the model from seeing it."""
        issues: list[Issue] = []
        cases = params.get("cases")
        if isinstance(cases, str):
            message = "The cases must be written out: their names are the node's ports."
            return (
                Issue("param.invalid", "error", "/cases", message, hint="Compute 'value' or the conditions instead."),
            )
        for index, case in enumerate(cases if isinstance(cases, list) else ()):
            if isinstance(case, Mapping):
                issues += pattern_issues(case.get("conditions"), f"/cases/{index}/conditions")
        anywhere = refers(params)
        first: dict[str, int] = {}
        for index, case in enumerate(cases if anywhere and isinstance(cases, list) else ()):
            if not isinstance(case, Mapping):
                continue
            at, name = f"/cases/{index}", case.get("name")
            if isinstance(name, str) and first.setdefault(name, index) != index:
                issues.append(_error(f"{at}/name", f"Case {first[name] + 1} is called {name!r} already."))
            if "equals" in case and "value" not in params:
                issues.append(_error(f"{at}/equals", "There is no 'value' on the switch to compare with."))
            if not refers(case):
                continue
            if name in _RESERVED:
                issues.append(_error(f"{at}/name", f"{name!r} is a port already; use another name."))
            if sum(way in case for way in _WAYS) != 1:
                issues.append(_error(at, f"{_ONE_OF[0].upper()}{_ONE_OF[1:]}."))
        return issues


def _error(pointer: str, message: str) -> Issue:
    return Issue("param.invalid", "error", pointer, message)


def _names(params: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The case names that can be ports, with their index; what is malformed is left to validation."""
    cases = params.get("cases")
    if not isinstance(cases, list):
        return []
    named = [(index, case.get("name")) for index, case in enumerate(cases) if isinstance(case, Mapping)]
    return [
        (index, name)
        for index, name in named
        if isinstance(name, str)
        and name.isascii()
        and name.isidentifier()
        and len(name) <= 64
        and name not in _RESERVED
    ]


def _matches(case: SwitchCase, value: Any, pointer: str) -> bool:
    if "equals" in case.model_fields_set:
        return json_equal(value, case.equals)
    if "condition" in case.model_fields_set:
        return case.condition
    return holds(case.conditions, case.match, pointer)
