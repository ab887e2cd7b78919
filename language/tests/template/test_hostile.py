"""Templates made to exhaust the host: compiling and resolving stay within their limits, whatever the document holds."""

import os

import pytest
from aicflow_language.expr import EvaluationError, ExpressionError
from aicflow_language.expr.errors import COMPILE_CODES, EVALUATION_CODES
from aicflow_language.template import MAX_EXPRESSIONS, ResolutionError, compile_template
from aicflow_language.template.errors import TEMPLATE_CODES
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = max(300, int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "3000")) // 10)
CODES = COMPILE_CODES | EVALUATION_CODES | TEMPLATE_CODES
MEGABYTES = 5_000_000


def codes(template):
    return [problem.code for problem in template.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{" * (MEGABYTES // 3), ["template.unclosed"]),
        ("${{ 1 }}" * (MEGABYTES // 8), ["template.too-many"]),
        ("${{ " * (MEGABYTES // 8) + "}}" * (MEGABYTES // 4), ["expr.too-large"]),
        ("${{ '" * (MEGABYTES // 5), ["template.unclosed"]),
        ('${{ "\\"' * (MEGABYTES // 8) + "}}", ["expr.too-large"]),
        ("${{ {" * (MEGABYTES // 5) + "}}", ["expr.too-large"]),
        ("${{" + " " * MEGABYTES + "}}", ["expr.syntax"]),
        ("${{" + "a" * MEGABYTES + "}}", ["expr.too-large"]),
        ("$" * MEGABYTES, []),
        ("$${{" * (MEGABYTES // 4), []),
        ("${{ 1 }}" + "{" * MEGABYTES, []),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, str) else "",
)
def test_huge_texts(text, expected):
    assert codes(compile_template({"a": text}, {"additionalProperties": {"type": "string"}})) == expected


def test_many_bad_expressions_in_one_text():
    problems = compile_template("${{ ' }}" * 500_000).problems
    assert len(problems) <= 1_001
    assert problems[-1].code == "template.too-many"


def test_many_texts_with_expressions():
    template = compile_template([f"${{{{ input.a{i} }}}}" for i in range(MAX_EXPRESSIONS + 5_000)])
    assert len(template.expressions) == MAX_EXPRESSIONS
    assert codes(template) == ["template.too-many"]


def test_deep_values():
    value = "${{ input.n }}"
    for _ in range(64):
        value = {"a": [value]}
    template = compile_template(value)
    assert template.resolve({"input": {"n": 5}}) != value
    assert template.expressions[0].pointer == "/a/0" * 64
    for _ in range(5_000):
        value = [value]
    assert codes(compile_template(value)) == ["template.too-deep"]


def test_wide_values_cost_little():
    value = {f"k{i}": {"a": "text", "b": [1, 2, None]} for i in range(50_000)}
    assert compile_template(value, {"additionalProperties": {"properties": {"a": {}}}}).resolve({}) is value


def test_one_resolving_has_one_budget():
    """Many expressions that are each within the limit are not, together."""
    scope = {"input": {"t": "x" * 1_000_000, "many": list(range(15_000))}}
    with pytest.raises(ResolutionError) as raised:
        compile_template([f"${{{{ input.t + '{i}' }}}}" for i in range(200)]).resolve(scope)
    assert raised.value.code == "eval.limit"
    with pytest.raises(ResolutionError) as raised:
        compile_template(["<${{ input.t }}>"] * 100).resolve(scope)
    assert raised.value.code == "template.too-large"
    # but each has its own turns of loops
    assert len(compile_template(["${{ [x for x in input.many] }}"] * 10).resolve(scope)) == 10


PIECES = [
    "${{",
    "}}",
    "$",
    "{",
    "}",
    "'",
    '"',
    "\\",
    " ",
    "\n",
    "input.a",
    "1",
    "+",
    "secrets.X",
    "a",
    "/",
    ":",
    "//",
    "?",
    "#",
    "@",
    ".",
    "é",
]


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(
    st.recursive(
        st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "${{ k }}"]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
    st.sampled_from([None, "text", "code", "url", "header"]),
    st.booleans(),
    st.sampled_from(["v", "", "a/../b", "x\n", None, 1, 1.5, True, [1], {"a": 1}]),
)
def test_any_soup(value, kind, secret, data):
    schema = None if kind is None else {"x-aicflow": {"kind": kind, "secret": secret}}
    template = compile_template(value, schema)
    for problem in template.problems:
        assert problem.code in CODES
        assert 0 <= problem.span[0] <= problem.span[1]
    for expression in template.expressions:
        assert (expression.expression is None) != (expression.error is None)
        start, end = expression.span
        text = value
        for key in expression.path:
            text = text[key]
        assert text[start : start + 3] == "${{"
        assert text[end - 2 : end] == "}}"
        assert text[expression.offset :].startswith(expression.source)
    error = None
    try:
        result = template.resolve({"input": {"a": data}, "secrets": {}}, str)
    except ExpressionError as caught:
        error = caught
    if error is not None:
        assert isinstance(error, ResolutionError)
        assert isinstance(error, EvaluationError)
        assert error.code in CODES
        assert str(error)
    elif template.is_static:
        assert result is template.resolve({})
        if "$${{" not in repr(value):
            assert result is value
