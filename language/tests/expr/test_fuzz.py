"""Whatever is written and whatever the data is: a JSON value or a documented error, and never anything else.

AICFLOW_FUZZ_EXAMPLES=1000000 tries a million programs in place of a few thousand.
"""

import json
import os

import pytest
from aicflow_language.expr import EvaluationError, ExpressionError, Secret, children, compile_expression, parse, parser
from aicflow_language.expr.errors import COMPILE_CODES, EVALUATION_CODES
from aicflow_language.expr.lexer import tokenize
from hypothesis import example, given, settings
from hypothesis import strategies as st

EXAMPLES = max(150, int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "1500")) // 20)

PIECES = [
    *"+-*/%<>()[]{},:.!?&|=\"'\\ \n$@;~^#0123456789eExabjsin_",
    *(
        "??",
        "?.",
        "?[",
        "==",
        "!=",
        "<=",
        "//",
        "&&",
        "||",
        "**",
        "if",
        "else",
        "for",
        "in",
        "not",
        "and",
        "or",
        "null",
    ),
    *("true", "input", "nodes", "secrets", "vars", "len(", "json(", "has(", ".lower()", ".join(", "[x for x in ", " "),
    *("1", "0.5", "1e999", "9" * 50, '"a"', "'\\ud800'", "é", "а", "“", "\u00a0", "\u202e", "\x00", "\ud800", "😀"),
]


def outcome(call, *arguments):
    """What the call returns, and the error of the language that it raises instead."""
    try:
        return call(*arguments), None
    except ExpressionError as error:
        return None, error


def check(source, scope):
    """Evaluate, and hold the outcome to what is documented. Returns the code of the error, or None."""
    expression, error = outcome(compile_expression, source)
    if error is not None:
        assert not isinstance(error, EvaluationError)
        return described(error, source, COMPILE_CODES)
    for reference in expression.references:
        assert 0 <= reference.span[0] < reference.span[1] <= len(source)
        assert len(reference.path) == len(reference.optional)
    value, error = outcome(expression.evaluate, scope)
    if error is not None:
        assert isinstance(error, EvaluationError)
        return described(error, source, EVALUATION_CODES)
    # lists and objects of the data are passed on as they are, so what is wrong inside them is nobody's doing
    if not isinstance(value, list | dict | Secret):
        json.dumps(value, allow_nan=False)
    return None


def described(error, source, codes):
    assert error.code in codes
    start, end = error.span
    assert 0 <= start <= end <= len(source)
    assert error.message
    assert error.hint is None or error.hint.strip()
    assert str(error)
    return error.code


def test_random_programs(programs, scope, fuzz_examples):
    outcomes = {}
    for seed in range(fuzz_examples):
        source = programs(seed, wild=0.15).program()
        try:
            code = check(source, scope)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {source}") from error
        outcomes[code] = outcomes.get(code, 0) + 1
    # the programs are worth running: many succeed, and they fail in many ways
    assert outcomes[None] > fuzz_examples // 10
    assert len(outcomes) >= 8


def test_broken_programs(programs, scope, fuzz_examples):
    for seed in range(fuzz_examples // 2):
        maker = programs(seed, wild=0.1)
        source = maker.program(3)
        for _ in range(maker.random.randint(1, 3)):
            at = maker.random.randrange(len(source) + 1)
            cut = maker.random.randint(0, 3)
            source = source[:at] + maker.random.choice([*PIECES, ""]) + source[at + cut :]
        try:
            check(source, scope)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {source!r}") from error


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@example("input" * 1000)
@example("[" * 5000)
def test_soup_of_tokens(source):
    check(source, {"input": {"x": [1, 2]}})


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(st.text(max_size=60))
def test_any_text_at_all(source):
    check(source, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(
    st.sampled_from(
        [
            "input.a == input.b",
            "input.a < input.b",
            "input.a in input.b",
            "input.a + input.b",
            "input.a // input.b",
            "input.a % input.b",
            "input.a[input.b]",
            "input.a[input.b:]",
            "input.a.get(input.b, 1)",
            "[x == input.b for x in input.a]",
            "max(input.a)",
            "sorted(input.a)",
            "sum(input.a)",
            "str(input.a)",
            "int(input.a)",
            "float(input.a)",
            "round(input.a, input.b)",
            "split(input.a, input.b)",
            "strip(input.a, input.b)",
            "replace(input.a, input.b, input.a)",
            "join(input.a, input.b)",
            "parse_json(json(input.a)) == input.a",
            "parse_json(input.a)",
        ]
    ),
    JSON,
    JSON,
)
def test_any_data_at_all(source, a, b):
    check(source, {"input": {"a": a, "b": b}})


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(JSON, JSON)
def test_equality_is_that_of_json(a, b):
    """As different JSON texts say, apart from 1 and 1.0; and the same in both directions."""
    scope = {"input": {"a": a, "b": b}}
    equal, error = outcome(compile_expression("input.a == input.b").evaluate, scope)
    if error is not None:
        assert error.code == "eval.foreign"
        return
    assert equal is (canonical(a) == canonical(b))
    assert compile_expression("input.a != input.b").evaluate(scope) is not equal
    for source in ("input.b == input.a", "input.a in [input.b]", "input.b in [0, input.a, 0.5][1:2]"):
        same, error = outcome(compile_expression(source).evaluate, scope)
        assert error.code == "eval.foreign" if error else same is equal


def canonical(value):
    if isinstance(value, dict):
        return ("object", frozenset((key, canonical(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(canonical, value)))
    return ("boolean" if isinstance(value, bool) else "scalar", value)


def test_spans_nest(programs):
    """Every node of a tree lies within its parent, and its span starts and ends at tokens."""
    for seed in range(300):
        source = programs(seed, wild=0.2).program()
        try:
            tree = parse(source)
        except ExpressionError:
            continue
        starts, ends = zip(*(token.span for token in tokenize(source)), strict=True)
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            assert node.span[0] in starts
            assert node.span[1] in ends
            for child in children(node):
                assert node.span[0] <= child.span[0] < child.span[1] <= node.span[1]
                waiting.append(child)


STEPS = st.lists(
    st.sampled_from(
        [
            *(".a", ".true", ".if", "._x1", "[0]", "[12]", "[01]", "[123456789]", "[9999999999]", "['a b']", '["a"]'),
            *(
                "['it\"s']",
                '["it\'s"]',
                "['a\\n']",
                "['\x7f']",
                "['\t']",
                "['é']",
                "[ 0]",
                ".0",
                "..a",
                "[-1]",
                "?.a",
                "[]",
            ),
            *("['a]['b']", "['a'].b['c']", "[a]", "()", " "),
        ]
    ),
    max_size=6,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(["input", "nodes", "true", "None", "in", "x", "é", "0", ""]), STEPS)
@example("input", [".a"] * 600)
def test_plain_paths_are_read_as_by_the_whole_parser(name, steps):
    source = name + "".join(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "_plain_path", lambda source: None)
        expected, error = outcome(parse, source)
    found, other = outcome(parse, source)
    assert found == expected
    assert str(other) == str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from(["input", "vars"]),
    st.lists(st.sampled_from([".a", "['a']", "['b']", "[0]", "[1]", "[-1]", "['0']"]), min_size=1, max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=2),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner),
        max_leaves=6,
    ),
)
def test_a_path_is_followed_at_once_as_step_by_step(root, steps, value):
    """Constant keys are looked up at once; steps that are computed go the long way."""
    path = root + "".join(steps)
    computed = path.replace("['", "['' + '").replace("[0]", "[0 + 0]").replace("[1]", "[0 + 1]")
    one, error = outcome(compile_expression(path).evaluate, {root: value})
    two, other = outcome(compile_expression(computed).evaluate, {root: value})
    assert one == two
    assert (error and error.code) == (other and other.code)
