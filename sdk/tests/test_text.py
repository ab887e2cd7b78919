"""What an f-string says is what the server's template gives; text that only looks like an expression stays text."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow_language.template import compile_template
from aicflow_sdk import BuildError, Code, Workflow, fn
from aicflow_sdk.build.values import render
from hypothesis import example, given
from hypothesis import strategies as st

wf = Workflow("w")
SCOPE = {"input": {"a": "Ada", "n": 5, "d": "${{ input.n }}", "list": [1, 2]}}


def resolved(value: Any) -> Any:
    """What the server makes of a value."""
    template = compile_template(render(value, "value"))
    assert not template.problems
    return template.resolve(SCOPE)


pieces = st.lists(
    st.one_of(
        st.sampled_from(["a", "n", "d"]).map(lambda name: ("hole", name)),
        st.sampled_from(["$", "$$", "${{", "$${{", "}}", "{{", " ", "\n", '"', "'", "\\", "${{ input.n }}", "x"]).map(
            lambda text: ("text", text)
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(lambda text: ("text", text)),
    ),
    max_size=7,
)


@given(pieces)
@example([("text", "$$"), ("hole", "n")])
@example([("hole", "n"), ("text", "\n")])
@example([("text", " ")])
def test_an_f_string_is_the_text_that_python_would_make(parts: list[tuple[str, str]]) -> None:
    text = "".join(f"{wf.input[word]}" if kind == "hole" else word for kind, word in parts)
    expected = "".join(str(SCOPE["input"][word]) if kind == "hole" else word for kind, word in parts)
    assert resolved(text) == expected
    assert resolved({"deep": [text]}) == {"deep": [expected]}


def test_an_expression_keeps_its_type_and_an_f_string_is_text() -> None:
    assert resolved(wf.input.n) == 5
    assert resolved(f"{wf.input.n}") == "5"
    assert resolved(wf.input.list) == [1, 2]
    assert resolved([wf.input.n + 1, f"{wf.input.n + 1}!"]) == [6, "6!"]
    assert resolved("%s" % wf.input.a) == "Ada"  # noqa: UP031 - other ways to write text work too
    assert resolved("-".join(["x", str(wf.input.a)])) == "x-Ada"
    assert resolved({"json": fn.json({"a": wf.input.list})}) == {"json": '{"a":[1,2]}'}


def test_a_secret_alone_stays_a_secret() -> None:
    assert render(f"{wf.secrets.TOKEN}", "x") == "${{ secrets.TOKEN }}"
    assert render(f"Bearer {wf.secrets.TOKEN}", "x") == "Bearer ${{ secrets.TOKEN }}"
    with pytest.raises(BuildError, match="secret"):
        render(f"{wf.secrets.TOKEN}\n", "x")


def test_code_is_left_as_it_is_and_takes_no_expression() -> None:
    assert render(Code("return '${{ x }}'"), "code") == "return '${{ x }}'"
    with pytest.raises(BuildError, match="code is code and cannot hold an expression"):
        render(Code(f"return {wf.input.a}"), "code")


def test_data_cannot_pretend_to_be_an_expression() -> None:
    forged = str(wf.input.a).replace(str(wf.input.a)[1:17], "0" * 16)
    assert resolved(forged) == forged


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: "a"}, "key 1 is not text"),
        ({f"{wf.input.a}": 1}, "a key cannot hold an expression"),
        ({"${{ x }}": 1}, "not interpolated"),
        (float("nan"), "not a JSON number"),
        ({"a": {1, 2}}, r"value.a.*sorted"),
        ([b"x"], r"value\[0\].*base64"),
        (wf.http("https://example.com"), r"write http\.output"),
        (wf.input.maybe, r"value\.maybe\.field"),
    ],
)
def test_what_cannot_stand_in_a_document_is_refused(value: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        render(value, "value")
