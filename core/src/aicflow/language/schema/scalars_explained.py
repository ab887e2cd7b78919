"""What is wrong with a number, a text or a choice, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aicflow.language.schema.formats import FORMATS
from aicflow.language.schema.model import freeze, preview, shorten
from aicflow.language.schema.patterns import compile_pattern
from aicflow.language.schema.scalars import is_number, multiple_of
from aicflow.language.schema.words import joined

type Fault = tuple[str, str, str]
"""Keyword, message, what was expected."""


def scalar_faults(schema: dict[str, Any], value: Any, *, formats: bool) -> Iterator[Fault]:
    """The faults of a value of a fitting type that do not lie inside it."""
    if "const" in schema and freeze(schema["const"]) != freeze(value):
        wanted = preview(schema["const"])
        yield "const", f"expected {wanted}, got {preview(value)}", wanted
    if "enum" in schema and freeze(value) not in set(map(freeze, schema["enum"])):
        wanted = choices(schema["enum"])
        yield "enum", f"{preview(value)} is not one of {wanted}", f"one of {wanted}"
    if is_number(value):
        yield from _number(schema, value)
    elif isinstance(value, str):
        yield from _text(schema, value, formats=formats)


def choices(values: list[Any]) -> str:
    """The first few of an enum's values."""
    shown = [preview(value) for value in values[:8]]
    if len(values) > 8:
        return shorten(f"{', '.join(shown)} … ({len(values)} values)", 120)
    return shorten(joined(shown), 120) or "no value"


def _number(schema: dict[str, Any], value: float) -> Iterator[Fault]:
    for word, wrong, words in (
        ("minimum", lambda bound: value < bound, "at least"),
        ("maximum", lambda bound: value > bound, "at most"),
        ("exclusiveMinimum", lambda bound: value <= bound, "more than"),
        ("exclusiveMaximum", lambda bound: value >= bound, "less than"),
        ("multipleOf", lambda step: not multiple_of(value, step), "a multiple of"),
    ):
        if word in schema and wrong(schema[word]):
            wanted = f"{words} {preview(schema[word])}"
            yield word, f"{preview(value)} is not {wanted}", wanted


def _text(schema: dict[str, Any], value: str, *, formats: bool) -> Iterator[Fault]:
    low, high = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    if len(value) < low:
        wanted = f"at least {_characters(low)}"
        yield "minLength", f"expected {wanted}, got {preview(value)} with {len(value)}", wanted
    if len(value) > high:
        wanted = f"at most {_characters(high)}"
        yield "maxLength", f"expected {wanted}, got {preview(value)} with {len(value)}", wanted
    if "pattern" in schema and not compile_pattern(schema["pattern"])(value):
        wanted = f"a text that matches {shorten(schema['pattern'], 80)}"
        yield "pattern", f"{preview(value)} does not match the pattern {shorten(schema['pattern'], 80)}", wanted
    name = schema.get("format")
    if formats and isinstance(name, str) and name in FORMATS and not FORMATS[name](value):
        yield "format", f"{preview(value)} is not a valid {name}", f"a text of format {name}"


def _characters(count: float) -> str:
    return "1 character" if count == 1 else f"{int(count)} characters"
