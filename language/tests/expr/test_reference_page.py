"""The reference page tells the truth: every example on it is evaluated, and every function and code stands on it."""

import json
import re
from pathlib import Path

import pytest
from aicflow_language.expr import FUNCTIONS, ExpressionError, compile_expression
from aicflow_language.expr.errors import COMPILE_CODES, EVALUATION_CODES
from aicflow_language.template.errors import TEMPLATE_CODES

PAGE = next(page for up in Path(__file__).parents if (page := up / "docs" / "reference" / "expressions.md").is_file())
TEXT = PAGE.read_text(encoding="utf-8")


def examples():
    """Each line of each `aicflow-expr` block: the scope, the expression, the sign, what is expected."""
    for block in re.finditer(r"```aicflow-expr\n(.*?)```", TEXT, re.DOTALL):
        first = TEXT.count("\n", 0, block.start()) + 2
        scope = {}
        for number, line in enumerate(block[1].splitlines(), first):
            if line.startswith("scope: "):
                scope = json.loads(line.removeprefix("scope: "))
                continue
            source, sign, expected = re.fullmatch(r"(.*?)  (=>|!!) (.*)", line).groups()
            yield pytest.param(scope, source, sign, expected, id=f"line {number}: {source[:40]}")


@pytest.mark.parametrize(("scope", "source", "sign", "expected"), list(examples()))
def test_example(scope, source, sign, expected):
    if sign == "=>":
        value = compile_expression(source).evaluate(scope)
        # through JSON, so that 1 is not 1.0 and true is not 1
        assert json.dumps(value) == json.dumps(json.loads(expected))
    else:
        with pytest.raises(ExpressionError) as raised:
            compile_expression(source).evaluate(scope)
        assert raised.value.code == expected


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_a_section_with_its_usage_and_an_example(name):
    section = re.search(rf"\n### {name}\n(.*?)(?=\n##)", TEXT, re.DOTALL)
    assert section, f"{name} has no section"
    assert FUNCTIONS[name].usage.split(" or ")[0] in section[1]
    assert re.search(rf"\b{name}\(.*  =>", section[1])


def test_methods_are_listed():
    for function in FUNCTIONS.values():
        listed = re.search(r"as a method: .*?\n\n", TEXT, re.DOTALL)[0]
        assert (f"`{function.name}`" in listed) == function.method


@pytest.mark.parametrize("code", sorted(COMPILE_CODES | EVALUATION_CODES | TEMPLATE_CODES))
def test_every_code_is_explained(code):
    if code not in {"template.key", "template.too-deep"}:  # said in prose
        assert f"`{code}`" in TEXT


def test_templates_of_the_page():
    from aicflow_language.template import ResolutionError, compile_template

    rows = re.findall(r"^\| `(.*?)` \| (.*?) \|$", TEXT.split("## Templates")[1].split("How a param")[0], re.MULTILINE)
    scope = {"input": {"n": 5, "name": "Ada", "list": [1], "none": None}}
    assert len(rows) >= 10
    for template, expected in rows:
        code = re.fullmatch(r"error `(.*)`", expected)
        if code:
            with pytest.raises(ResolutionError) as raised:
                compile_template(template).resolve(scope)
            assert raised.value.code == code[1]
        else:
            wanted = json.loads(re.match(r"`(.*?)`(?:$|,|:)", expected)[1])
            assert compile_template(template).resolve(scope) == wanted


def test_urls_of_the_page():
    from aicflow_language.template import ResolutionError, compile_template

    rows = re.findall(r"^\| `(.*?)` \| `(.*?)` \| (.*?) \|$", TEXT, re.MULTILINE)
    assert len(rows) >= 6
    for template, data, expected in rows:
        compiled = compile_template(template, {"x-aicflow": {"kind": "url"}})
        place = re.search(r"(input|vars)\.(\w+)", template)
        scope = {place[1]: {place[2]: data}}
        if expected.startswith("error"):
            with pytest.raises(ResolutionError) as raised:
                compiled.resolve(scope)
            assert f"`{raised.value.code}`" in expected
        else:
            assert f"`{compiled.resolve(scope)}`" == expected
