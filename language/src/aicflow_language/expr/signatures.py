"""Which functions there are and how they are called: all that can be checked before there is data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aicflow_language.expr.ast import Chain, Name, Node
from aicflow_language.expr.errors import ExpressionError, Span
from aicflow_language.suggest import did_you_mean

__all__ = ["FUNCTIONS", "Signature", "check_call", "check_method"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One function. `returns` are the JSON Schema types that it can give; empty when that depends on its arguments.
    A `method` may also be written behind its first argument: `text.lower()`."""

    name: str
    usage: str
    minimum: int
    maximum: int | None
    method: bool
    returns: tuple[str, ...]
    summary: str


_NUMBER = ("integer", "number")

FUNCTIONS: Final[Mapping[str, Signature]] = MappingProxyType(
    {
        signature.name: signature
        for signature in (
            Signature("len", "len(value)", 1, 1, False, ("integer",), "characters, items or keys"),
            Signature("str", "str(value)", 1, 1, False, ("string",), "a text, number or boolean as text"),
            Signature("int", "int(value)", 1, 1, False, ("integer",), "a text or number as an integer"),
            Signature("float", "float(value)", 1, 1, False, ("number",), "a text or number as a float"),
            Signature("sum", "sum(list)", 1, 1, False, _NUMBER, "the numbers of a list added up"),
            Signature("min", "min(list) or min(a, b, …)", 1, None, False, (), "the smallest number or text"),
            Signature("max", "max(list) or max(a, b, …)", 1, None, False, (), "the largest number or text"),
            Signature("any", "any(list)", 1, 1, False, ("boolean",), "whether one item is true"),
            Signature("all", "all(list)", 1, 1, False, ("boolean",), "whether every item is true"),
            Signature("abs", "abs(number)", 1, 1, False, _NUMBER, "a number without its sign"),
            Signature("round", "round(number, digits=null)", 1, 2, False, _NUMBER, "a number rounded"),
            Signature("sorted", "sorted(list, descending=false)", 1, 2, False, ("array",), "a list in order"),
            Signature("lower", "lower(text)", 1, 1, True, ("string",), "a text in small letters"),
            Signature("upper", "upper(text)", 1, 1, True, ("string",), "a text in capital letters"),
            Signature("strip", "strip(text, characters=null)", 1, 2, True, ("string",), "a text without its margins"),
            Signature("split", "split(text, separator=null)", 1, 2, True, ("array",), "the parts of a text"),
            Signature("replace", "replace(text, old, new)", 3, 3, True, ("string",), "a text with parts replaced"),
            Signature("startswith", "startswith(text, start)", 2, 2, True, ("boolean",), "how a text begins"),
            Signature("endswith", "endswith(text, end)", 2, 2, True, ("boolean",), "how a text ends"),
            Signature("join", 'join(list, separator="")', 1, 2, True, ("string",), "the texts of a list as one"),
            Signature("keys", "keys(object)", 1, 1, True, ("array",), "the keys of an object"),
            Signature("values", "values(object)", 1, 1, True, ("array",), "the values of an object"),
            Signature("get", "get(value, key, default=null)", 2, 3, True, (), "a field or item, or a default"),
            Signature("json", "json(value)", 1, 1, False, ("string",), "any value as JSON text"),
            Signature("parse_json", "parse_json(text)", 1, 1, False, (), "the value of a JSON text"),
            Signature("has", "has(path) or has(object, key)", 1, 2, True, ("boolean",), "whether a path exists"),
        )
    }
)

_ELSEWHERE: Final = {
    "length": "Write len(value).",
    "size": "Write len(value).",
    "count": "Write len([x for x in list if condition]).",
    "tolowercase": "Write lower(text).",
    "touppercase": "Write upper(text).",
    "trim": "Write strip(text).",
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
    "range": "Loops go over the items of a list: [expression for x in list].",
    "reversed": "Write sorted(list, true) for descending order.",
    "format": "Join texts with +, or write several references in one text.",
    "coalesce": "Write value ?? other.",
    "default": "Write value ?? other.",
    "now": "Expressions do not know the time. Use execution.started_at.",
    "bool": 'Write a comparison, such as value != "".',
    "isinstance": "Compare with a value, or use has(path).",
}


def check_call(function: str, arguments: Sequence[Node], name_span: Span, span: Span) -> None:
    """Raise ExpressionError unless there is such a function that takes so many arguments."""
    signature = FUNCTIONS.get(function)
    if signature is None:
        hint = _ELSEWHERE.get(function.lower()) or did_you_mean(function, FUNCTIONS) or _all_of(FUNCTIONS)
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
        hint = hint or _ELSEWHERE.get(method.lower()) or did_you_mean(method, methods) or _all_of(methods)
        raise ExpressionError("expr.unknown-function", f"There is no method '{method}'", name_span, hint)
    # has(path) looks at how its argument is written, which a receiver does not have: x.has(key) is the method
    _check_arity(signature, len(arguments) + 1, span, least=2 if method == "has" else None)


def _check_arity(signature: Signature, given: int, span: Span, least: int | None = None) -> None:
    minimum = signature.minimum if least is None else least
    if given < minimum:
        problem = "too few"
    elif signature.maximum is not None and given > signature.maximum:
        problem = "too many"
    else:
        return
    message = f"'{signature.name}' is given {problem} arguments"
    raise ExpressionError("expr.arity", message, span, f"It is written {signature.usage}.")


def _all_of(names: Mapping[str, Signature] | list[str]) -> str:
    return "There are " + ", ".join(sorted(names)) + "."
