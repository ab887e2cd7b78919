"""Compiled checks of the keywords that look at a value as a whole: type, const, enum, numbers, texts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from aicflow.language.schema.formats import FORMATS
from aicflow.language.schema.model import TooCostly, freeze
from aicflow.language.schema.patterns import compile_pattern

STEPS: Final = 200_000  # references and alternatives tried, whatever the size of the value
STEPS_FOR_EACH: Final = 100  # and as many for each part of the value


class Budget:
    """How much more work one validation may do. Its limit grows with the value, measured only when needed."""

    __slots__ = ("_extended", "_value", "left")

    def __init__(self, value: Any) -> None:
        self.left = STEPS
        self._value = value
        self._extended = False

    def charge(self, steps: int) -> None:
        """Count work done. Raises `TooCostly`."""
        self.left -= steps
        if self.left < 0:
            self.exhausted()

    def exhausted(self) -> None:
        """The count fell below zero: extend it once by the value's size, then raise `TooCostly`."""
        if self._extended:
            raise TooCostly("the schema takes too many steps on this value")
        self._extended = True
        self.left = STEPS_FOR_EACH * _size(self._value)


type Check = Callable[[Any, Budget], bool]


def _size(value: Any) -> int:
    count, pending = 0, [value]
    while pending:
        here = pending.pop()
        count += 1
        if isinstance(here, dict):
            pending.extend(here.values())
        elif isinstance(here, list):
            pending.extend(here)
    return count


def is_integer(value: Any) -> bool:
    """Whether JSON Schema calls a value an integer: 1.0 is one, true is not."""
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and value.is_integer()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


IS: Final[dict[str, Callable[[Any], bool]]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": is_integer,
    "null": lambda value: value is None,
    "number": is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}

_TYPE_CHECKS: Final[dict[str, Check]] = {
    "array": lambda value, _: isinstance(value, list),
    "boolean": lambda value, _: isinstance(value, bool),
    "integer": lambda value, _: type(value) is int or is_integer(value),
    "null": lambda value, _: value is None,
    "number": lambda value, _: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value, _: isinstance(value, dict),
    "string": lambda value, _: isinstance(value, str),
}


def type_check(types: str | list[str]) -> Check:
    if isinstance(types, str):
        return _TYPE_CHECKS[types]
    if len(types) == 1:
        return _TYPE_CHECKS[types[0]]
    tests = tuple(IS[name] for name in types)
    if len(tests) == 2:
        one, two = tests
        return lambda value, _: one(value) or two(value)
    return lambda value, _: any(test(value) for test in tests)


def enum_check(values: list[Any]) -> Check:
    frozen = frozenset(map(freeze, values))
    if all(isinstance(value, str) for value in values):
        return lambda value, _: isinstance(value, str) and value in frozen
    if any(isinstance(value, dict | list) for value in values):
        return lambda value, _: freeze(value) in frozen
    return lambda value, _: not isinstance(value, dict | list) and freeze(value) in frozen


def multiple_of(value: float, divisor: float) -> bool:
    """Whether a number is a whole multiple of another, in decimal: 19.99 is one of 0.01."""
    if isinstance(value, int) and isinstance(divisor, int):
        return value % divisor == 0
    if isinstance(value, float) and value - value != 0:
        return False
    return (_exact(value) / _exact(divisor)).denominator == 1


def _exact(value: float) -> Fraction:
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def number_check(schema: dict[str, Any]) -> Check | None:
    """minimum, maximum, exclusiveMinimum, exclusiveMaximum and multipleOf; None when there is none of them."""
    tests: list[Callable[[Any], bool]] = []
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf")
    if low is not None:
        tests.append(lambda value: value >= low)
    if high is not None:
        tests.append(lambda value: value <= high)
    if above is not None:
        tests.append(lambda value: value > above)
    if below is not None:
        tests.append(lambda value: value < below)
    if step is not None:
        tests.append(lambda value: multiple_of(value, step))
    if not tests:
        return None
    if len(tests) == 1:
        only = tests[0]
        return lambda value, _: not is_number(value) or only(value)
    return lambda value, _: not is_number(value) or all(test(value) for test in tests)


def text_check(schema: dict[str, Any], *, formats: bool) -> Check | None:
    """minLength, maxLength, pattern and format; None when there is none of them."""
    tests: list[Callable[[str], bool]] = []
    if "minLength" in schema or "maxLength" in schema:
        low, high = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
        tests.append(lambda value: low <= len(value) <= high)
    if "pattern" in schema:
        tests.append(compile_pattern(schema["pattern"]))
    if formats and schema.get("format") in FORMATS:
        tests.append(FORMATS[schema["format"]])
    if not tests:
        return None
    if len(tests) == 1:
        only = tests[0]
        return lambda value, _: not isinstance(value, str) or only(value)
    return lambda value, _: not isinstance(value, str) or all(test(value) for test in tests)
