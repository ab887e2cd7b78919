"""Which functions there are, and whether a call of one can be right: all that is checked before there is data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from aicflow_language.expr import dates, numeric, patterns, structural, textual
from aicflow_language.expr.ast import Chain, Name, Node
from aicflow_language.expr.calls import IMPLEMENTATIONS, SIGNATURES, Signature
from aicflow_language.expr.errors import ExpressionError, Span
from aicflow_language.suggest import did_you_mean

__all__ = ["FUNCTIONS", "IMPLEMENTATIONS", "Signature", "check_call", "check_method"]

FUNCTIONS: Final[Mapping[str, Signature]] = MappingProxyType(SIGNATURES)

_MODULES: Final = (dates, numeric, patterns, structural, textual)
"""Loaded for what they register."""

_ELSEWHERE: Final = {
    "length": "Write len(value).",
    "size": "Write len(value).",
    "count": "Write len([x for x in list if condition]).",
    "tolowercase": "Write lower(text).",
    "touppercase": "Write upper(text).",
    "trim": "Write strip(text).",
    "search": "Write find(text, pattern), or matches(text, pattern).",
    "match": "Write matches(text, pattern), or find(text, pattern).",
    "regex": "Write matches(text, pattern), or find(text, pattern).",
    "test": "Write matches(text, pattern).",
    "extract": "Write find(text, pattern, group).",
    "findall": "Write find_all(text, pattern).",
    "replaceall": "Write replace(text, old, new), or replace_pattern(text, pattern, new).",
    "sub": "Write replace_pattern(text, pattern, new).",
    "includes": "Write item in list, or part in text.",
    "contains": "Write item in list, or part in text.",
    "parseint": "Write int(text).",
    "parsefloat": "Write float(text).",
    "number": "Write float(text) or int(text).",
    "string": "Write str(value).",
    "tostring": "Write str(value), or json(value) for lists and objects.",
    "stringify": "Write json(value).",
    "tojson": "Write json(value).",
    "dumps": "Write json(value).",
    "loads": "Write parse_json(text).",
    "fromjson": "Write parse_json(text).",
    "exists": "Write has(path).",
    "defined": "Write has(path).",
    "hasattr": "Write has(path).",
    "map": "Write [expression for x in list].",
    "filter": "Write [x for x in list if condition].",
    "items": "Loop over keys(object) and take object[key] for the value.",
    "flat": "Write flatten(list).",
    "concat": "Write one + other, or flatten(list) for a list of lists.",
    "reversed": "Write sorted(list, true) for descending order.",
    "format": "Join texts with +, or write several references in one text.",
    "coalesce": "Write value ?? other.",
    "default": "Write value ?? other.",
    "date": "Write parse_time(text, format).",
    "strptime": "Write parse_time(text, format).",
    "strftime": "Write format_time(time, format).",
    "astimezone": "Write zone(time, name).",
    "timedelta": "Write add_time(time, amount, unit).",
    "today": 'Expressions do not know the time. Write format_time(execution.started_at, "%Y-%m-%d").',
    "now": "Expressions do not know the time. Use execution.started_at.",
    "bool": 'Write a comparison, such as value != "".',
    "isinstance": "Compare with a value, or use has(path).",
}


def check_call(function: str, arguments: Sequence[Node], name_span: Span, span: Span) -> None:
    """Raise ExpressionError unless there is such a function that takes so many arguments."""
    signature = FUNCTIONS.get(function)
    if signature is None:
        hint = (
            _ELSEWHERE.get(function.lower()) or did_you_mean(function, FUNCTIONS) or _available("functions", FUNCTIONS)
        )
        raise ExpressionError("expr.unknown-function", f"There is no function '{function}'", name_span, hint)
    _check_arity(signature, len(arguments), span)
    if function == "has" and len(arguments) == 1 and not isinstance(arguments[0], Chain | Name):
        raise ExpressionError(
            "expr.unsupported",
            "With one argument, has takes a path",
            arguments[0].span,
            "Write has(input.name), or has(object, key).",
        )


def check_method(method: str, arguments: Sequence[Node], name_span: Span, span: Span) -> None:
    """Raise ExpressionError unless there is such a method that takes so many arguments."""
    signature = FUNCTIONS.get(method)
    if signature is None or not signature.method:
        methods = [name for name, known in FUNCTIONS.items() if known.method]
        hint = f"Write {signature.usage}." if signature is not None else None
        hint = hint or _ELSEWHERE.get(method.lower()) or did_you_mean(method, methods) or _available("methods", methods)
        raise ExpressionError("expr.unknown-function", f"There is no method '{method}'", name_span, hint)
    # has(path) looks at how its argument is written, which a receiver does not have: x.has(key) is the method
    _check_arity(signature, len(arguments) + 1, span, least=2 if method == "has" else None)


def _check_arity(signature: Signature, count: int, span: Span, least: int | None = None) -> None:
    minimum = signature.minimum if least is None else least
    if count < minimum:
        problem = "too few"
    elif signature.maximum is not None and count > signature.maximum:
        problem = "too many"
    else:
        return
    message = f"'{signature.name}' has {problem} arguments"
    raise ExpressionError("expr.arity", message, span, f"It is written {signature.usage}.")


def _available(what: str, names: Iterable[str]) -> str:
    return f"Available {what}: {', '.join(sorted(names))}."
