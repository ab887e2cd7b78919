"""Expressions and data made to exhaust the host: each ends soon, with a limit's error, within little memory."""

import sys
import threading
import tracemalloc

import pytest
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from aicflow_language.expr.limits import MAX_CHARACTERS, MAX_NESTING, MAX_OPERATOR_NESTING, MAX_STEPS, MAX_TOKENS

MANY = list(range(20_000))
DEEP: list = []
for _ in range(5_000):
    DEEP = [DEEP]

DATA = {
    "many": MANY,
    "more": list(range(1_000_000)),
    "floats": [0.5] * 1_000_000,
    "mixed": [True, 1, 2.0, "a", None, [1], {"a": 1}] * 20_000,
    "text": "x" * 1_000_000,
    "sharp": "ß" * 1_000_000,
    "control": "\0" * 900_000,
    "object": {f"k{i}": i for i in range(50_000)},
    "deep": DEEP,
    "huge": 7**100_000,
}


def doubled(levels):
    source = "[1]"
    for _ in range(levels):
        source = f"[[y, y] for y in {source}]"
    return source


def each(work):
    return f"[{work} for x in input.many]"


COMPILED = {
    "parentheses": ("(" * 500 + "1" + ")" * 500, "expr.too-deep"),
    "lists": ("[" * 500 + "]" * 500, "expr.too-deep"),
    "objects": ('{"a":' * 100 + "1" + "}" * 100, "expr.too-deep"),
    "subscripts": ("input[" * 100 + "0" + "]" * 100, "expr.too-deep"),
    "calls": ("len(" * 100 + "1" + ")" * 100, "expr.too-deep"),
    "loops": (doubled(45), "expr.too-deep"),
    "nots": ("not " * 500 + "true", "expr.too-deep"),
    "signs": ("- " * 900 + "1", "expr.too-deep"),
    "choices": ("1 if true else " * 200 + "2", "expr.too-deep"),
    "ladder": ("(1 * 1 + 1 > 1 and true or false ?? (" * 38 + "1" + "))" * 38, "expr.too-deep"),
    "left ladder": ("(" * 39 + "true" + " * 1 + 1 > 1 and true or false ?? 1)" * 39, "expr.too-deep"),
    "characters": (" " * 5_000_000, "expr.too-large"),
    "tokens": ("+".join(["1"] * 600), "expr.too-large"),
    "quotes": ('"' * 4095, "expr.syntax"),
    "escapes": ('"' + '\\"' * 2000, "expr.syntax"),
    "integer": ("9" * 4000, "expr.too-large"),
    "float": ("1e999999", "expr.too-large"),
    "open": ("[" * MAX_NESTING, "expr.syntax"),
}

EVALUATED = {
    "power tower": ("*".join([str(2**127)] * 20), "eval.overflow"),
    "float tower": ("*".join(["1e300"] * 20), "eval.overflow"),
    "power in loops": (each("x" + "*x" * 100), "eval.overflow"),
    "huge integer": ("input.huge * input.huge", "eval.overflow"),
    "huge integer as text": ("str(input.huge)", "eval.overflow"),
    "huge integer as JSON": ("json([input.huge])", "eval.overflow"),
    "huge integer as float": ("float(input.huge)", "eval.overflow"),
    "huge integer divided": ("input.huge / 3", "eval.overflow"),
    "too many turns": ("[1 for x in input.more]", "eval.limit"),
    "loops in loops": (each("[x + y for y in input.many]"), "eval.limit"),
    "large bodies": (each("+".join(["x"] * 400)), "eval.limit"),
    "doubling": (doubled(30), "eval.limit"),
    "the same data many times": (f"[{','.join(['input.more'] * 200)}]", "eval.limit"),
    "text doubling": ("+".join(["input.text"] * 2), "eval.limit"),
    "text doubling by loops": ("join([input.text for x in input.many])", "eval.limit"),
    "text by replace": ("replace(input.text, 'x', 'xxxxxxxxxx')", "eval.limit"),
    "many texts": (each("input.text + 'y'"), "eval.limit"),
    "separator": ("join([str(x) for x in input.many], input.text)", "eval.limit"),
    "growing capitals": ("upper(input.sharp)", "eval.limit"),
    "split": (each("split(input.text, 'x')"), "eval.limit"),
    "search": (each("'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy' in input.text"), "eval.limit"),
    "membership": (each("-1 in input.more"), "eval.limit"),
    "mixed membership": (each("[-1] in input.mixed"), "eval.limit"),
    "comparison": (each("input.more == [y for y in input.more]"), "eval.limit"),
    "object comparison": (each("input.object == input.object"), "eval.limit"),
    "deep comparison": (each("input.deep == input.deep"), "eval.limit"),
    "sum": (each("sum(input.floats)"), "eval.limit"),
    "max": (each("max(input.floats)"), "eval.limit"),
    "sort": (each("sorted(input.more)"), "eval.limit"),
    "slices": (each("input.more[1:]"), "eval.limit"),
    "values": (each("values(input.object)"), "eval.limit"),
    "keys": (each("keys(input.object)"), "eval.limit"),
    "JSON of much": ("json(input.more)", "eval.limit"),
    "JSON of escapes": (each("json(input.control)"), "eval.limit"),
    "JSON of depth": ("json(input.deep)", "eval.limit"),
    "JSON again and again": (each("json(input.many)"), "eval.limit"),
    "parsing depth": ("parse_json(replace(input.text, 'x', '['))", "eval.limit"),
    "parsing much": (
        "[parse_json('[' + replace(input.text[0:300000], 'x', '[],') + '1]') for x in input.many]",
        "eval.limit",
    ),
    "parsing an integer": ("parse_json(replace(input.text[0:9000], 'x', '9'))", "eval.overflow"),
    "building depth": ("[input.deep]", "eval.limit"),
    "empty objects": (each(f"[{','.join(['{}'] * 300)}]"), "eval.limit"),
    "strip": (each("strip(input.text, 'abcdefgh')"), "eval.limit"),
}


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_refused_when_compiled(name):
    source, code = COMPILED[name]
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)
    assert raised.value.code == code
    assert 0 <= raised.value.span[0] <= raised.value.span[1] <= len(source)


@pytest.mark.parametrize("name", sorted(EVALUATED))
def test_stopped_when_evaluated(name):
    source, code = EVALUATED[name]
    expression = compile_expression(source)
    with pytest.raises(EvaluationError) as raised:
        expression.evaluate({"input": DATA})
    assert raised.value.code == code


@pytest.mark.parametrize(
    "name", ["many texts", "empty objects", "split", "parsing much", "values", "comparison", "JSON of escapes"]
)
def test_memory_stays_small(name):
    expression = compile_expression(EVALUATED[name][0])
    tracemalloc.start()
    try:
        with pytest.raises(EvaluationError):
            expression.evaluate({"input": DATA})
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_what_is_just_allowed():
    assert compile_expression("(" * MAX_NESTING + "1" + ")" * MAX_NESTING).evaluate({}) == 1
    assert compile_expression("+".join(["1"] * (MAX_TOKENS // 2))).evaluate({}) == MAX_TOKENS // 2
    assert compile_expression('"' + "x" * (MAX_CHARACTERS - 2) + '"').evaluate({}) == "x" * (MAX_CHARACTERS - 2)
    assert compile_expression("not " * (MAX_OPERATOR_NESTING - 2) + "true").evaluate({}) is True
    assert len(compile_expression("[x for x in input]").evaluate({"input": [0] * MAX_STEPS})) == MAX_STEPS
    with pytest.raises(EvaluationError):
        compile_expression("[x for x in input]").evaluate({"input": [0] * (MAX_STEPS + 1)})
    path = "input" + "[0]" * 300
    assert compile_expression(path).evaluate({"input": DEEP}) is not None
    assert compile_expression("true" + " and true" * 400).evaluate({}) is True
    assert compile_expression("null??" * 500 + "1").evaluate({}) == 1


def test_deep_expressions_fit_on_a_small_stack():
    """The deepest that is allowed still runs when the host is already deep in calls of its own."""
    sources = [
        "(" * 39 + "1" + ")" * 39,
        doubled(12),
        "[" * 38 + "1" + "]" * 38,
        "1 if true else " * 70 + "2",
        "not " * 78 + "true",
        "(1 + " * 38 + "1" + ")" * 38,
    ]
    failed = []

    def dive(levels):
        if levels:
            dive(levels - 1)
            return
        for source in sources:
            try:
                compile_expression(source + " ").evaluate({})
            except Exception as error:  # whatever it is, the test reports it
                failed.append((source, repr(error)))

    thread = threading.Thread(target=dive, args=(sys.getrecursionlimit() // 2,))
    thread.start()
    thread.join()
    assert not failed


def test_without_any_stack_left_it_is_still_a_documented_error():
    source = "[" * 38 + "input.x" + "]" * 38
    expression = compile_expression(source)
    expression.evaluate({"input": {"x": 1}})
    outcomes = set()

    def attempt(work, *arguments):
        try:
            work(*arguments)
        except ExpressionError as error:
            outcomes.add(error.code)

    def dive(level):
        attempt(compile_expression, f"{source}[{level}]")
        attempt(expression.evaluate, {"input": {"x": 1}})
        dive(level + 1)

    with pytest.raises(RecursionError):
        dive(0)
    assert outcomes == {"eval.limit", "expr.too-deep"}
