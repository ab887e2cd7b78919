"""Every error says what is wrong, at which characters, and what to write instead."""

import pickle

import pytest
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from aicflow_language.expr.errors import COMPILE_CODES, EVALUATION_CODES

SCOPE = {
    "input": {"total": 5, "note": None, "items": [{"price": 1}], "text": "hi", "nan": float("nan"), "obj": object()},
    "nodes": {"fetch": {"output": {"body": {"total": 150}}}},
    "vars": {"limit": 10},
    "execution": {"id": "x"},
}

# the expression with «» around what the error points at, its code, and a part of the hint
COMPILE = [
    ("«»", "expr.syntax", "Write a value"),
    ("1 +«»", "expr.syntax", None),
    ("a «=» 1", "expr.syntax", "Write '=='"),
    ("a «===» 1", "expr.unsupported", "Write '=='"),
    ("x «**» 2", "expr.unsupported", "x * x"),
    ("a «?» b : c", "expr.unsupported", "value if condition else other"),
    ("a «&» b", "expr.unsupported", "and"),
    ("«$»json.a", "expr.unsupported", "input.name"),
    ("a«;»", "expr.unsupported", None),
    ("«`»a`", "expr.unsupported", "Write texts"),
    ('f«"x"»', "expr.syntax", "prefixed"),
    ("a «b»", "expr.syntax", None),
    ("a «is» null", "expr.syntax", "=="),
    ("«(»1", "expr.syntax", None),
    ("[1«)»", "expr.syntax", None),
    ("1«)»", "expr.syntax", "opening bracket"),
    ('«"abc»', "expr.syntax", "Close it"),
    ('"a«\\q»"', "expr.syntax", "double it"),
    ('"a«\\x»4"', "expr.syntax", None),
    ('«"\\ud800"»', "expr.syntax", "halves"),
    ('"«\\U00110000»"', "expr.syntax", None),
    ("«007»", "expr.syntax", "0"),
    ("«0x»1", "expr.syntax", "decimal"),
    ("«1_»0", "expr.syntax", "decimal"),
    ("a.«1»", "expr.syntax", "[0]"),
    ("a[«]»", "expr.syntax", None),
    ("a[1:2«:»3]", "expr.unsupported", "[start:end]"),
    ("«(1,» 2)", "expr.unsupported", "list"),
    ("«lenght»(a)", "expr.unknown-function", "len"),
    ("«foo»(a)", "expr.unknown-function", "Available functions: "),
    ("«map»(a)", "expr.unknown-function", "for x in list"),
    ("a.«uper»()", "expr.unknown-function", "Did you mean 'upper'?"),
    ("a.«len»()", "expr.unknown-function", "len(value)"),
    ("a.«b»()", "expr.unknown-function", "Available methods: "),
    ("a[0]«(»1)", "expr.unsupported", "function(value)"),
    ("«replace(a, b)»", "expr.arity", "replace(text, old, new)"),
    ("«lower()»", "expr.arity", "lower(text)"),
    ("a.«lower(1)»", "expr.arity", "lower(text)"),
    ("a.«has()»", "expr.arity", None),
    ("has(«1 + 1»)", "expr.unsupported", "input.name"),
    ("[x for x in a «for» y in b]", "expr.unsupported", "inside"),
    ("[x for x in a if b «if» c]", "expr.unsupported", "and"),
    ("[k for k«,» v in a]", "expr.unsupported", "keys"),
    ("[x for «1» in a]", "expr.syntax", None),
    ("sum(x «for» x in a)", "expr.unsupported", "[expression for x in list]"),
    ("{1: 2 «for» x in a}", "expr.unsupported", None),
    ("{1«,» 2}", "expr.syntax", "value"),
    ("1 if 2«»", "expr.syntax", "else"),
    ("«else» 1", "expr.syntax", None),
    ("lambda «x»: x", "expr.syntax", "code node"),
    ("1 «!»in [1]", "expr.syntax", "not in"),
    ("input.«»", "expr.syntax", None),
    ("a.lower()«(»)", "expr.unsupported", "function(value)"),
]

EVALUATE = [
    ("nodes.fetch.output.body.«totl»", "eval.missing-key", "Did you mean 'total'?"),
    ("nodes.fetch.output.body.«nothing».x", "eval.missing-key", "??"),
    ("nodes.«fetsh».output", "eval.missing-key", "Did you mean 'fetch'?"),
    ('input«["totla"]»', "eval.missing-key", "Did you mean 'total'?"),
    ("input.«note».x", "eval.type", "?.x"),
    ("input.«note»[0]", "eval.type", "?[…]"),
    ("input.«note».lower()", "eval.type", "?.lower(…)"),
    ("input.items.«price»", "eval.type", "[x.price for x in list]"),
    ("input.text.«b»", "eval.type", "parse_json"),
    ("input.total.«b»", "eval.type", None),
    ("input.items«[4]»", "eval.index", "??"),
    ('input.items[«"a"»]', "eval.type", None),
    ("input[«0»]", "eval.type", None),
    ("input.total«[0]»", "eval.type", None),
    ('input.text«["a":]»', "eval.type", None),
    ("«inptu».a", "ref.unknown-name", "Did you mean 'input'?"),
    ("«typo».a ?? 1", "ref.unknown-name", None),
    ("«typo»?.a", "ref.unknown-name", None),
    ("has(«typo».a)", "ref.unknown-name", None),
    ("«zzz»", "ref.unknown-name", "Available names: input"),
    ("«trigger».body", "eval.missing-key", None),
    ("2 * («input.text + 5»)", "eval.type", None),
    ("«input.text + 5»", "eval.type", "str(…)"),
    ("«input.text + null»", "eval.type", "json(…)"),
    ("«input.note + 5»", "eval.type", "??"),
    ("«1 / 0»", "eval.division-by-zero", "!= 0"),
    ("1 + «1 // 0» + 1", "eval.division-by-zero", None),
    ("«input.text > 5»", "eval.type", "float(…)"),
    ("1 < 2 < 3 and 1 < «2 < null»", "eval.type", None),
    ('«input.text» or "a"', "eval.type", "??"),
    ("not «input.total»", "eval.type", "Compare"),
    ("1 if «input.note» else 2", "eval.type", "Compare"),
    ("[x for x in «input.note»]", "eval.type", "?? []"),
    ("[x for x in «input.text»]", "eval.type", "split"),
    ("[x for x in [1] if «x»]", "eval.type", "Compare"),
    ("len(«input.total»)", "eval.type", None),
    ("lower(«input.note»)", "eval.type", '?? ""'),
    ("join(«input.items»)", "eval.type", "str(x)"),
    ("max(«[]»)", "eval.value", "len(x) > 0"),
    ('sum(«["a"]»)', "eval.type", None),
    ('int(«"x"»)', "eval.value", None),
    ("{«1»: 2}", "eval.type", None),
    ("parse_json(«'\"\\\\ud800\"'»)", "eval.value", None),
    ("parse_json(«'[1, 2'»)", "eval.value", None),
    ("parse_json(«'[1e999]'»)", "eval.overflow", None),
    ("«-input.text»", "eval.type", None),
    ("«input.nan»", "eval.foreign", None),
    ("«input.nan + 1»", "eval.foreign", None),
    ("«input.obj == 1»", "eval.foreign", None),
    ("json(«input.obj»)", "eval.foreign", None),
    ("[«secrets.A», 1]", "secret.not-allowed", "by itself"),
]


def marked(source):
    """The source without its marks, and the span between them."""
    start, end = source.index("«"), source.index("»") - 1
    return source.replace("«", "").replace("»", ""), (start, end)


@pytest.mark.parametrize(("source", "code", "hint"), COMPILE, ids=[case[0] for case in COMPILE])
def test_what_does_not_compile(source, code, hint):
    source, span = marked(source)
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)
    assert not isinstance(raised.value, EvaluationError)
    assert raised.value.code == code
    assert raised.value.code in COMPILE_CODES
    assert raised.value.span == span
    assert hint is None or hint in raised.value.hint
    assert raised.value.message


@pytest.mark.parametrize(("source", "code", "hint"), EVALUATE, ids=[case[0] for case in EVALUATE])
def test_what_does_not_fit_the_data(source, code, hint):
    source, span = marked(source)
    expression = compile_expression(source)
    with pytest.raises(EvaluationError) as raised:
        expression.evaluate(SCOPE)
    assert raised.value.code == code
    assert raised.value.code in EVALUATION_CODES
    assert raised.value.span == span
    assert hint is None or hint in raised.value.hint


@pytest.mark.parametrize(
    ("source", "what", "hint"),
    [
        ("inрut.a", "U+0440 CYRILLIC SMALL LETTER ER", "looks like 'p'"),
        ("“a”", "U+201C LEFT DOUBLE QUOTATION MARK", "looks like '\"'"),
        ("1 － 2", "U+FF0D FULLWIDTH HYPHEN-MINUS", "looks like '-'"),
        ("1 − 2", "U+2212 MINUS SIGN", "looks like '-'"),
        ("1\u00a0+ 2", "U+00A0 NO-BREAK SPACE", "looks like a space"),
        ("in\u200bput", "U+200B ZERO WIDTH SPACE", "looks like nothing"),
        ("\u202einput", "U+202E RIGHT-TO-LEFT OVERRIDE", "looks like nothing"),
        ("ｉnput", "U+FF49 FULLWIDTH LATIN SMALL LETTER I", "looks like 'i'"),
        ("input.größe", "U+00F6 LATIN SMALL LETTER O WITH DIAERESIS", '["key"]'),
        ("a ≤ b", "U+2264 LESS-THAN OR EQUAL TO", "looks like '<='"),
        ("\ud800", "U+D800", '["key"]'),
        ("\x00", "U+0000", '["key"]'),
    ],
)
def test_look_alikes_are_named(source, what, hint):
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)
    assert raised.value.code == "expr.syntax"
    assert what in raised.value.message
    assert hint in raised.value.hint


def test_other_alphabets_are_fine_in_texts_and_brackets():
    scope = {"input": {"größe": 3, "ключ": "значение"}}
    assert compile_expression('input["größe"]').evaluate(scope) == 3
    assert compile_expression('input["ключ"] + "😀\\ud83d\\ude00"').evaluate(scope) == "значение😀😀"


def test_messages_never_quote_data():
    scope = {"input": {"token": "hunter2", "rows": [["hunter2"]]}}
    for source in ("input.token + 1", "input.token.x", "-input.token", "int(input.token)", "parse_json(input.token)"):
        with pytest.raises(EvaluationError) as raised:
            compile_expression(source).evaluate(scope)
        assert "hunter2" not in str(raised.value)


def test_a_hint_costs_nothing_until_it_is_read():
    asked = []
    error = EvaluationError("eval.type", "no", (0, 1), lambda: asked.append(1) or "do this")
    assert not asked
    assert error.hint == error.hint == "do this"
    assert len(asked) == 1


def test_errors_travel_between_processes():
    with pytest.raises(EvaluationError) as raised:
        compile_expression("input.totl").evaluate(SCOPE)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.code, copy.message, copy.span, copy.hint) == (
        raised.value.code,
        raised.value.message,
        raised.value.span,
        raised.value.hint,
    )
    assert str(copy) == str(raised.value)
