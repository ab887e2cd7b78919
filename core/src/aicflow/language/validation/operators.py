"""Types under arithmetic and comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aicflow_language.expr import Span

from aicflow.language.schema import SchemaView, Verdict
from aicflow.language.validation.finding import Finding, a_kind
from aicflow.language.validation.rules import Typing
from aicflow.language.validation.views import (
    ALL,
    ANYTHING,
    INTEGER,
    NUMBER,
    NUMERIC,
    STRING,
    is_known,
    item_of,
    kinds_of,
    merged,
    sequence_of,
)

_TEXT: Final = frozenset(("string",))
_LIST: Final = frozenset(("array",))
_ADDED: Final = ((NUMERIC, "two numbers, two texts or two lists"), (_TEXT, ""), (_LIST, ""))
_ORDERED: Final = ((NUMERIC, "two numbers or two texts"), (_TEXT, ""))
_NUMBERS: Final = ((NUMERIC, "two numbers"),)


def number_like(views: Sequence[SchemaView]) -> SchemaView:
    """An integer where all are, else a number."""
    return INTEGER if all(kinds_of(view) & NUMERIC == {"integer"} for view in views) else NUMBER


def compute(
    typing: Typing, sign: str, left: SchemaView, right: SchemaView, left_span: Span, right_span: Span
) -> SchemaView:
    """The type of `left sign right`."""
    if kinds_of(left) <= NUMERIC and kinds_of(right) <= NUMERIC and is_known(left) and is_known(right):
        return NUMBER if sign == "/" else number_like((left, right))
    groups = _ADDED if sign == "+" else _NUMBERS
    fitting = _together(typing, sign, groups, left, right, left_span, right_span)
    if not fitting:
        return NUMBER if sign != "+" else ANYTHING
    results: list[SchemaView] = []
    for group in fitting:
        if group is NUMERIC:
            results.append(NUMBER if sign == "/" else number_like((left, right)))
        elif group is _TEXT:
            results.append(STRING)
        else:
            results.append(sequence_of(merged([_items(left), _items(right)])))
    return merged(results)


def _items(view: SchemaView) -> SchemaView:
    return item_of(view) if is_known(view) else ANYTHING


def _together(
    typing: Typing,
    sign: str,
    groups: Sequence[tuple[frozenset[str], str]],
    left: SchemaView,
    right: SchemaView,
    left_span: Span,
    right_span: Span,
) -> list[frozenset[str]]:
    """The groups of types that both sides may belong to; tells when there is none, or when a side may be outside."""
    ours, theirs = kinds_of(left), kinds_of(right)
    fitting = [group for group, _ in groups if ours & group and theirs & group]
    wanted = groups[0][1]
    if not fitting:
        if ours and theirs:
            hint = None
            if sign == "+" and bool(ours & _TEXT) != bool(theirs & _TEXT):
                hint = "Write str(…) or json(…) around the value that is not text."
            elif ours == {"null"} or theirs == {"null"}:
                hint = "For a default instead of null, write (value ?? default)."
            message = f"'{sign}' takes {wanted}, not {a_kind(left)} and {a_kind(right)}."
            typing.tell(Finding("type.operand", message, (left_span[0], right_span[1]), hint))
        return []
    allowed = frozenset().union(*fitting)
    for kinds, span in ((ours, left_span), (theirs, right_span)):
        if kinds != ALL and kinds - allowed:
            typing.doubt(kinds - allowed, span, f"'{sign}' takes {wanted}")
    return fitting


def compare(
    typing: Typing, sign: str, left: SchemaView, right: SchemaView, left_span: Span, right_span: Span
) -> bool | None:
    """Check `left sign right`. Its value, where that is the same whatever the data."""
    span = (left_span[0], right_span[1])
    if sign in ("==", "!="):
        nulls = (kinds_of(left) == {"null"}) + (kinds_of(right) == {"null"})
        if nulls == 2 or _same_scalar(left, right):
            return sign == "=="
        if not _never_equal(typing, left, right):
            return None
        if not nulls or sign == "==":
            message = f"These are never equal: {a_kind(left)} and {a_kind(right)}."
            typing.tell(Finding("type.never-equal", message, span, None, "warning"))
        return sign == "!="
    if sign in ("in", "not in"):
        _member(typing, left, right, left_span, right_span)
    else:
        _together(typing, sign, _ORDERED, left, right, left_span, right_span)
    return None


def _same_scalar(left: SchemaView, right: SchemaView) -> bool:
    ours, theirs = (view.schema.get("const") if isinstance(view.schema, dict) else None for view in (left, right))
    return type(ours) is type(theirs) and isinstance(ours, str | bool | int) and ours == theirs


def _member(typing: Typing, left: SchemaView, right: SchemaView, left_span: Span, right_span: Span) -> None:
    what = "'in' takes a list, a text or an object on its right"
    if not typing.need(right, frozenset(("array", "object", "string")), right_span, what):
        return
    kinds = kinds_of(right)
    if not kinds & _LIST:
        typing.need(left, _TEXT, left_span, "What is looked for in a text or an object is a text")
    elif kinds == _LIST and _never_equal(typing, left, item_of(right)):
        message = f"No item is ever equal: {a_kind(left)}, among items that are {a_kind(item_of(right))}."
        typing.tell(Finding("type.never-equal", message, (left_span[0], right_span[1]), None, "warning"))


def _never_equal(typing: Typing, left: SchemaView, right: SchemaView) -> bool:
    if not is_known(left) or not is_known(right):
        return False
    ours, theirs = kinds_of(left), kinds_of(right)
    if not (ours & theirs) and not (ours & NUMERIC and theirs & NUMERIC):
        return True
    if not (_is_listed(left) or _is_listed(right)):
        return False
    return typing.effort.compare(left, right).verdict is Verdict.NO


def _is_listed(view: SchemaView) -> bool:
    return isinstance(view.schema, dict) and bool(view.schema.keys() & {"const", "enum", "anyOf"})
