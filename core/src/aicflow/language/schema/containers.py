"""Compiled checks of the keywords that go into lists and objects.

Plain loops are meant where a generator would cost as much as the checks in it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from aicflow.language.schema.model import Schema, freeze
from aicflow.language.schema.patterns import compile_pattern
from aicflow.language.schema.scalars import Budget, Check

type _Compile = Callable[[Schema], Check]


def array_checks(schema: dict[str, Any], compile_: _Compile) -> list[Check]:
    """minItems, maxItems, prefixItems, items, contains, uniqueItems."""
    checks: list[Check] = []
    if "minItems" in schema or "maxItems" in schema:
        low, high = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
        checks.append(lambda value, _: not isinstance(value, list) or low <= len(value) <= high)
    if "prefixItems" in schema:
        checks.append(_prefix([compile_(item) for item in schema["prefixItems"]]))
    if "items" in schema and schema["items"] is not True:
        checks.append(_items(compile_(schema["items"]), len(schema.get("prefixItems", ()))))
    if "contains" in schema:
        bounds = schema.get("minContains", 1), schema.get("maxContains", float("inf"))
        checks.append(_contains(compile_(schema["contains"]), *bounds))
    if schema.get("uniqueItems"):
        checks.append(lambda value, _: not isinstance(value, list) or len(set(map(freeze, value))) == len(value))
    return checks


def _prefix(positions: list[Check]) -> Check:
    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, list):
            return True
        return all(test(item, budget) for test, item in zip(positions, value, strict=False))

    return check


def _items(item_check: Check, start: int) -> Check:
    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, list):
            return True
        for item in islice(value, start, None) if start else value:  # noqa: SIM110 - see above
            if not item_check(item, budget):
                return False
        return True

    return check


def _contains(item_check: Check, low: float, high: float) -> Check:
    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, list):
            return True
        return low <= sum(item_check(item, budget) for item in value) <= high

    return check


def object_checks(schema: dict[str, Any], compile_: _Compile) -> list[Check]:
    """properties, required, the other fields' schemas, their number and names, and what depends on a field."""
    checks: list[Check] = []
    fields = _fields(schema, compile_)
    if fields is not None:
        checks.append(fields)
    if "minProperties" in schema or "maxProperties" in schema:
        low, high = schema.get("minProperties", 0), schema.get("maxProperties", float("inf"))
        checks.append(lambda value, _: not isinstance(value, dict) or low <= len(value) <= high)
    if "propertyNames" in schema:
        name_check = compile_(schema["propertyNames"])
        checks.append(
            lambda value, budget: not isinstance(value, dict) or all(name_check(name, budget) for name in value)
        )
    if "dependentRequired" in schema:
        checks.append(_dependent_required(tuple(schema["dependentRequired"].items())))
    if "dependentSchemas" in schema:
        parts = schema["dependentSchemas"].items()
        checks.append(_dependent_schemas(tuple((name, compile_(item)) for name, item in parts)))
    return checks


def _dependent_required(needs: tuple[tuple[str, list[str]], ...]) -> Check:
    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, dict):
            return True
        budget.charge(len(needs))
        return all(name not in value or all(other in value for other in names) for name, names in needs)

    return check


def _dependent_schemas(dependent: tuple[tuple[str, Check], ...]) -> Check:
    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, dict):
            return True
        budget.charge(len(dependent))
        return all(name not in value or test(value, budget) for name, test in dependent)

    return check


def _fields(schema: dict[str, Any], compile_: _Compile) -> Check | None:
    """The plain object: names to checks, required names, and what becomes of the names that are not told."""
    required = tuple(schema.get("required", ()))
    named = {name: compile_(item) for name, item in schema.get("properties", {}).items()}
    if "patternProperties" in schema:
        return _patterned(schema, named, required, compile_)
    others = schema.get("additionalProperties", True)
    if others is True and not named:
        if not required:
            return None
        return lambda value, _: not isinstance(value, dict) or all(name in value for name in required)
    if others is True:
        pairs = tuple(named.items())
        find = named.get

        def open_object(value: Any, budget: Budget) -> bool:
            if not isinstance(value, dict):
                return True
            for name in required:
                if name not in value:
                    return False
            if len(value) < len(pairs):
                for name, item in value.items():
                    found = find(name)
                    if found is not None and not found(item, budget):
                        return False
                return True
            for name, test in pairs:  # noqa: SIM110 - see above
                if name in value and not test(value[name], budget):
                    return False
            return True

        return open_object
    find_or_other = named.get
    other_check = compile_(others)

    def closed_object(value: Any, budget: Budget) -> bool:
        if not isinstance(value, dict):
            return True
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():  # noqa: SIM110 - see above
            if not find_or_other(name, other_check)(item, budget):
                return False
        return True

    return closed_object


def _patterned(schema: dict[str, Any], named: dict[str, Check], required: tuple[str, ...], compile_: _Compile) -> Check:
    patterns = tuple(
        (compile_pattern(pattern), compile_(item)) for pattern, item in schema["patternProperties"].items()
    )
    other_check = compile_(schema.get("additionalProperties", True))

    def check(value: Any, budget: Budget) -> bool:
        if not isinstance(value, dict):
            return True
        if not all(name in value for name in required):
            return False
        for name, item in value.items():
            budget.charge(len(patterns))
            tests = [test for found, test in patterns if found(name)]
            if name in named:
                tests.append(named[name])
            elif not tests:
                tests.append(other_check)
            if not all(test(item, budget) for test in tests):
                return False
        return True

    return check
