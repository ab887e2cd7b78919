"""What keeps numbers, and lengths of texts, lists and objects, from fitting in every case."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from aicflow.language.schema.compile import keyword_fits
from aicflow.language.schema.describe import size_words
from aicflow.language.schema.model import preview
from aicflow.language.schema.shape import Shape
from aicflow.language.schema.verdict import Gap


def number_gap(shape: Shape, other: Shape) -> Gap | None:
    """Why some numbers of the one shape do not fit the other; None when all do."""
    if other.whole and not shape.whole:
        return Gap("may have a fraction, and an integer is expected", "type")
    if "integer" not in other.atoms and "integer" in shape.atoms:
        return Gap("may be an integer", "not")
    mine, theirs = shape.interval, other.interval
    if not mine.within(theirs):
        below = mine.low < theirs.low or (mine.low == theirs.low and theirs.low_open and not mine.low_open)
        bound, word = (theirs.low, "less") if below else (theirs.high, "more")
        or_equal = " or equal" if (theirs.low_open if below else theirs.high_open) else ""
        keyword = "minimum" if below else "maximum"
        return Gap(f"may be {word} than{or_equal} {'to ' if or_equal else ''}{preview(bound)}", keyword)
    for step in other.steps:
        known = [*shape.steps, 1] if shape.whole else shape.steps
        if not any(keyword_fits("multipleOf", step, mine) for mine in known):
            return Gap(f"may not be a multiple of {preview(step)}", "multipleOf")
    return None


def text_gap(shape: Shape, other: Shape) -> Gap | None:
    """Why some texts of the one shape do not fit the other, patterns aside; None when all do."""
    for gap in size_gaps(shape, other):
        return gap
    for name in sorted(other.formats - shape.formats):
        return Gap(f"may not be a valid {name}", "format")
    return None


def size_gaps(shape: Shape, other: Shape) -> Iterator[Gap]:
    """Lengths of one shape that the other does not take."""
    noun, suffix = size_words(shape.kind)
    (low, high), (least, most) = shape.size, other.size
    if shape.kind == "object":
        # Required and refused fields count into the size; they have reasons of their own, and better ones.
        least = max(other.words("minProperties"), default=0)
        most = min(other.words("maxProperties"), default=inf)
    if low < least:
        message = "may be empty" if least == 1 else f"may have less than {int(least)} {noun}"
        yield Gap(message, f"min{suffix}")
    if high > most:
        yield Gap(f"may have more than {int(most)} {noun}", f"max{suffix}")
