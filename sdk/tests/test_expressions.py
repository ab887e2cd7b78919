"""References and operators become the source that means what Python's precedence says; misuse says what to write."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from aicflow_language.diff.canonical import canonical
from aicflow_language.expr import EvaluationError, compile_expression
from aicflow_sdk import BuildError, Expr, Workflow, expr, fn, when
from aicflow_sdk.build.expr import root, source_of
from hypothesis import given
from hypothesis import strategies as st

wf = Workflow("w", vars={"threshold": 5})
fetch = wf.http("https://example.com", "fetch")
i = wf.input


def written(expression: Any) -> str:
    assert isinstance(expression, Expr)
    text = source_of(expression).text
    compile_expression(text)  # the server reads it
    return text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (fetch.output.body["id"], 'nodes.fetch.output.body["id"]'),
        (wf.secrets.TOKEN, "secrets.TOKEN"),
        (wf.execution.id, "execution.id"),
        (fetch.error.message, "nodes.fetch.error.message"),
        (fetch.maybe.output.text, "nodes.fetch?.output.text"),
        (i.a.maybe.b.c, "input.a?.b.c"),
        (i.maybe["a b"], 'input?["a b"]'),
        (i.items[-1], "input.items[-1]"),
        (i.items[1:], "input.items[1:]"),
        (i.items[: i.n], "input.items[:input.n]"),
        (i.table[i.key], "input.table[input.key]"),
        (i.name.lower().strip(), "input.name.lower().strip()"),
        (i.a + i.b * 2, "input.a + input.b * 2"),
        ((i.a + i.b) * 2, "(input.a + input.b) * 2"),
        (i.a - (i.b - i.c), "input.a - (input.b - input.c)"),
        (i.a - i.b - i.c, "input.a - input.b - input.c"),
        (10 - i.a, "10 - input.a"),
        (-i.a, "-input.a"),
        (-(i.a + 1), "-(input.a + 1)"),
        (i.a * -2, "input.a * -2"),
        (2 - i.a // 3 % 4, "2 - input.a // 3 % 4"),
        (i.a / 2, "input.a / 2"),
        ("total: " + fn.str(i.n), '"total: " + str(input.n)'),
        ((i.a > 1) & (i.b < 2), "input.a > 1 and input.b < 2"),
        ((i.a == 1) | (i.b != 2) & i.c, "input.a == 1 or input.b != 2 and input.c"),
        (((i.a == 1) | i.b) & i.c, "(input.a == 1 or input.b) and input.c"),
        (~(i.a == 1), "not input.a == 1"),
        (~i.a & i.b, "not input.a and input.b"),
        (~(i.a & i.b), "not (input.a and input.b)"),
        ((i.a < 1) == True, "(input.a < 1) == true"),  # noqa: E712 - what a user may write
        (i.a.coalesce(i.b, "none"), 'input.a ?? input.b ?? "none"'),
        (i.a.coalesce(0) + 1, "(input.a ?? 0) + 1"),
        (i.ok.if_else("y", "n"), '"y" if input.ok else "n"'),
        (when(i.a > 1, 1, when(i.a > 0, 2, 3)), "1 if input.a > 1 else 2 if input.a > 0 else 3"),
        (when(i.a, when(i.b, 1, 2), 3), "(1 if input.b else 2) if input.a else 3"),
        (fn.len(i.items), "len(input.items)"),
        (fn.add_time(fn.parse_time(i.t, "%d.%m.%Y"), 1, "day"), 'add_time(parse_time(input.t, "%d.%m.%Y"), 1, "day")'),
        (fn.max(1, i.a, 2.5), "max(1, input.a, 2.5)"),
        (abs(i.a), "abs(input.a)"),
        (round(i.a, 2), "round(input.a, 2)"),
        (fn.contains(i.items, "x") & True, '"x" in input.items and true'),
        (~fn.contains(i.items, 1), "1 not in input.items"),
        (fn.each(i.lines, lambda line: line.sku), "[line.sku for line in input.lines]"),
        (
            fn.sum(fn.each(i.lines, lambda line: line.n * 2, where=lambda line: line.n > i.least)),
            "sum([line.n * 2 for line in input.lines if line.n > input.least])",
        ),
        (when(True, {"a": [i.x, None]}, []), '{"a": [input.x, null]} if true else []'),
        (i["a"] + 'say "hi"\n\u2028', 'input["a"] + "say \\"hi\\"\\n\\u2028"'),
        (fn.len(f"{i.a}-{i.b}"), 'len(str(input.a) + "-" + str(input.b))'),
        (expr(" a_root . x &&!  b"), "a_root . x &&!  b"),
        (expr("a or b") & i.c, "(a or b) and input.c"),
        (expr("(a?.b)").c, "(a?.b).c"),
        (expr("1").a, "(1).a"),
    ],
)
def test_python_becomes_source(expression: Expr, text: str) -> None:
    assert written(expression) == text
    assert repr(expression) == f"<expression {text}>"


@pytest.mark.parametrize(
    ("misuse", "advice"),
    [
        (lambda: bool(i.a), r"a & b.*if_else"),
        (lambda: i.a and i.b, r"a & b"),
        (lambda: 1 < i.a < 3, r"\(a < b\) & \(b < c\)"),
        (lambda: [x for x in i.items_], r"fn\.each"),  # noqa: C416 - iterating is the point
        (lambda: 1 in i.items_, r"fn\.contains"),
        (lambda: len(i.a), r"fn\.len"),
        (lambda: int(i.a), r"fn\.int"),
        (lambda: float(i.a), r"fn\.float"),
        (lambda: range(i.a), "only when it runs"),
        (lambda: {i.a: 1}, "cannot be a key"),
        (lambda: i.a**2, r"a \* a"),
        (lambda: f"{i.a:.2f}", r"fn\.round"),
        (lambda: i.a.frobnicate(), r"not a function"),
        (lambda: i.a[1:2:3], r"no step"),
        (lambda: i.a[1.5], "a key is text"),
        (lambda: setattr(i, "a", 1), "cannot be changed"),
        (lambda: i.__setitem__("a", 1), "cannot be changed"),
        (lambda: i.a + datetime(2027, 1, 1), r"no time zone"),
        (lambda: i.a + Decimal(1), r"float\(value\)"),
        (lambda: i.a == fetch, r"fetch\.output"),
        (lambda: fn.len(), "takes 1 arguments, not 0"),
        (lambda: fn.round(1, 2, 3), "takes 1 to 2"),
        (lambda: fn.each(i.a, lambda a, b: a), "one parameter"),
    ],
)
def test_misuse_says_what_to_write(misuse: Callable[[], Any], advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        misuse()


def test_unknown_functions_are_named() -> None:
    with pytest.raises(AttributeError, match=r"no function 'size'.*len"):
        fn.size(i.a)
    assert "contains" in dir(fn)


class Level(IntEnum):
    HIGH = 3


def test_members_of_an_enum_are_their_numbers() -> None:
    assert written(i.a + Level.HIGH) == "input.a + 3"


def test_numbers_that_json_cannot_say_are_refused() -> None:
    with pytest.raises(BuildError, match="not a JSON number"):
        written(i.a + float("inf"))
    with pytest.raises(BuildError, match="too large"):
        written(i.a + 2**128)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "a b",
        "(1",
        "[1,",
        "{1: 2",
        "a.",
        'a["',
        "1 if 2",
        "a ? b : c",
        "not",
        "[x for 1 in y]",
        "$x",
        "'\\q'",
    ],
)
def test_a_source_that_is_none_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BuildError, match=r"at character \d+"):
        expr(text)


def test_deep_nesting_is_refused_and_does_not_crash() -> None:
    for text in ("(" * 500 + "1" + ")" * 500, "-" * 500 + "x", "not " * 500 + "x", "[" * 500):
        with pytest.raises(BuildError, match="are nested"):
            expr(text)
    with pytest.raises(BuildError, match="are the most"):
        expr("[" * 5000)


# operators of Python, however they are nested, become a source that means what they say: the same as with parentheses
# around every part, and the server computes it

type Tree = tuple[Any, ...]
"""What is built: the kind and its parts."""

names = st.sampled_from(["a", "b", "if", "true", "x_1"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5).map(abs), texts)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "??": lambda a, b: a.coalesce(b),
    "or": operator.or_,
    "and": operator.and_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    "in": lambda a, b: fn.contains(b, a),
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
STEPS = ("field", "item", "slice")


def made(kind: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.tuples(st.just(kind), *parts)


def grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        made("binary", st.sampled_from(sorted(OPERATORS)), inner, inner),
        made("not", inner),
        made("unary", st.sampled_from("+-"), inner.filter(lambda tree: tree[0] != "value")),
        made("choice", inner, inner, inner),
        made("field", inner, st.booleans(), names),
        made("item", inner, st.booleans(), inner),
        made("slice", inner, st.booleans(), st.none() | inner, st.none() | inner),
        made("call", st.sampled_from(["len", "str"]), inner),
        made("list", st.lists(inner, max_size=3)),
        made("object", st.lists(st.tuples(inner, inner), max_size=2)),
        made("loop", inner, inner, st.none() | inner),
    )


leaves = made("value", scalars) | made("name", st.sampled_from(["input", "vars", "item"]))
trees = st.recursive(leaves, grown, max_leaves=12)


def built(tree: Tree) -> Any:
    """The expression, put together with Python's operators."""
    match tree:
        case ("value", value):
            return expr(json.dumps(value))
        case ("name", name):
            return root(name)
        case ("binary", sign, left, right):
            return OPERATORS[sign](built(left), built(right))
        case ("not", operand):
            return ~built(operand)
        case ("unary", sign, operand):
            return -built(operand) if sign == "-" else +built(operand)
        case ("choice", then, test, otherwise):
            return when(built(test), built(then), built(otherwise))
        case ("field", base, optional, name):
            return getattr(built(base).maybe if optional else built(base), name)
        case ("item", base, optional, index):
            return (built(base).maybe if optional else built(base))[built(index)]
        case ("slice", base, optional, *ends):
            lower, upper = (None if end is None else built(end) for end in ends)
            return (built(base).maybe if optional else built(base))[lower:upper]
        case ("call", function, argument):
            return getattr(fn, function)(built(argument))
        case ("list", items):
            return Expr(source_of([built(item) for item in items]))
        case ("object", items):
            inner = ", ".join(f"{written(built(key))}: {written(built(item))}" for key, item in items)
            return expr("{" + inner + "}")
        case ("loop", element, items, condition):
            where = None if condition is None else (lambda item: built(condition))
            return fn.each(built(items), lambda item: built(element), where=where)
    raise AssertionError(tree)


def spelled(tree: Tree) -> str:
    """The source of the same by hand, with parentheses around every part."""

    def part(inner: Tree | None) -> str:
        return "" if inner is None else f"({spelled(inner)})"

    match tree:
        case ("value", value):
            return json.dumps(value)
        case ("name", name):
            return str(name)
        case ("binary", sign, left, right):
            return f"{part(left)} {sign} {part(right)}"
        case ("not", operand):
            return f"not {part(operand)}"
        case ("unary", sign, operand):
            return sign + part(operand)
        case ("choice", *parts):
            return "{} if {} else {}".format(*map(part, parts))
        case ("field" | "item" | "slice", base, optional, *keys):
            step = {"field": ".{}", "item": "[{}]", "slice": "[{}:{}]"}[tree[0]]
            inner = keys if tree[0] == "field" else map(part, keys)
            before = spelled(base) if base[0] in STEPS else part(base)  # a path goes on
            return before + "?" * optional + step.format(*inner)
        case ("call", function, argument):
            return f"{function}({spelled(argument)})"
        case ("list", items):
            return "[" + ", ".join(map(part, items)) + "]"
        case ("object", items):
            return "{" + ", ".join(f"{part(key)}: {part(item)}" for key, item in items) + "}"
        case ("loop", element, items, condition):
            return f"[{part(element)} for item in {part(items)}{' if ' * bool(condition)}{part(condition)}]"
    raise AssertionError(tree)


def meaning(source: str) -> Any:
    compile_expression(source)  # it can be read
    return canonical("${{ " + source + " }}", is_template=lambda path: True)


@given(trees)
def test_what_is_built_means_the_same_as_with_all_parentheses(tree: Tree) -> None:
    source = written(built(tree))
    assert meaning(source) == meaning(spelled(tree))
    assert written(expr(source)) == source


class Undefined(Exception):
    """The brute evaluator gives up, as the server must."""


def compute(tree: Tree) -> Any:
    """The value of a tree of booleans and numbers, by hand."""
    match tree:
        case ("value", value):
            return value
        case ("unary", "-", operand):
            return -number(operand)
        case ("not", operand):
            return not boolean(operand)
        case ("choice", then, test, otherwise):
            return compute(then) if boolean(test) else compute(otherwise)
        case ("binary", "and", left, right):
            return boolean(left) and boolean(right)
        case ("binary", "or", left, right):
            return boolean(left) or boolean(right)
        case ("binary", "??", left, right):
            value = compute(left)
            return compute(right) if value is None else value
        case ("binary", "==", left, right):
            a, b = compute(left), compute(right)
            return a == b if isinstance(a, bool) == isinstance(b, bool) else False
        case ("binary", sign, left, right):
            a, b = number(left), number(right)
            if sign in ("//", "%") and b == 0:
                raise Undefined
            return OPERATORS[sign](a, b)
    raise AssertionError(tree)


def number(tree: Tree) -> int:
    value = compute(tree)
    if type(value) is not int:
        raise Undefined
    return value


def boolean(tree: Tree) -> bool:
    value = compute(tree)
    if type(value) is not bool:
        raise Undefined
    return value


def arithmetic(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        made("binary", st.sampled_from(["??", "or", "and", "==", "<", "+", "-", "*", "//", "%"]), inner, inner),
        made("not", inner),
        made("unary", st.just("-"), inner.filter(lambda tree: tree[0] != "value")),
        made("choice", inner, inner, inner),
    )


@given(st.recursive(made("value", st.none() | st.booleans() | st.integers(-3, 3)), arithmetic, max_leaves=10))
def test_the_server_computes_what_is_built(tree: Tree) -> None:
    expression = compile_expression(source_of(built(tree)).text)
    try:
        expected = compute(tree)
    except Undefined:
        with pytest.raises(EvaluationError):
            expression.evaluate({})
    else:
        assert expression.evaluate({}) == expected


def test_nothing_of_the_marks_is_left_in_a_document() -> None:
    flow = Workflow("marks")
    flow.http(f"https://h.example/{flow.input.id}", "get", headers={"x": f"{flow.input.a} {flow.input.b}"})
    assert not re.search("[\ufdd0\ufdd1]", flow.to_json())
