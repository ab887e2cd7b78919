"""Regular expressions in expressions: found in linear time, whatever the pattern and the text."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from aicflow_language.expr import EvaluationError, compile_expression
from aicflow_language.expr import patterns as module
from aicflow_language.expr.patterns import pattern_problem

LONG = "a" * 200_000


def value(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate({"input": scope})


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+$", "^(a|a?)+$", "(.*)*x", "(a?){50}a{50}b", "(?:a*)*b"])
def test_no_pattern_stalls(pattern: str) -> None:
    assert value("matches(input.t, input.p)", t=LONG + "!", p=pattern) is False


def test_work_is_bounded() -> None:
    many = "|".join(f"[a-{chr(98 + i % 24)}]{{1,20}}z" for i in range(60))
    with pytest.raises(EvaluationError, match="too many steps"):
        value("[matches(input.t, input.p) for x in input.n]", t=LONG, p=many, n=[1] * 1_000)
    with pytest.raises(EvaluationError, match="gets longer than"):
        value("replace_pattern(input.t, 'a', input.new)", t=LONG, new="b" * 1_000)
    with pytest.raises(EvaluationError, match=r"2,000 characters"):
        value("matches('a', input.p)", p="a" * 2_001)


@pytest.mark.parametrize(
    "source",
    [
        "find_all(input.t, 'a')", "find_all(input.t, '')", "split_pattern(input.t, 'a')",
        "replace_pattern(input.t, 'a', '')",
        "replace_pattern(input.t, 'a?', '$0$0')", "find_all(input.t, '((((((((a))))))))')",
    ],
)  # fmt: skip
def test_matches_are_paid_for_one_by_one(source: str) -> None:
    """A match takes some microseconds, so there are at most about 80,000: half a second."""
    assert len(value(source, t=LONG[:30_000])) >= 0
    with pytest.raises(EvaluationError, match="too many steps"):
        value(source, t=LONG[:100_000])


def test_empty_matches_stand_between_characters() -> None:
    assert value("find_all('éa', '')") == ["", "", ""]
    assert value("find_all('日本', 'x*')") == ["", "", ""]
    assert value("replace_pattern('日本', 'x*', '-')") == "-日-本-"
    assert value("split_pattern('', ',')") == [""]
    assert value("split_pattern(',a,', ',')") == ["", "a", ""]


def test_groups_that_did_not_take_part_are_null() -> None:
    assert value("find('b', '(a)|(b)', 1)") is None
    assert value("find_all('ab', '(a)|(b)', 1)") == ["a", None]
    assert value("replace_pattern('ab', '(a)|(b)', '<$1>')") == "<a><>"


def test_texts_of_all_kinds() -> None:
    assert value("find(input.t, '[😀-😎]+')", t="x😀😎y") == "😀😎"
    assert value("matches(input.t, 'x')", t="\ud800x") is True
    assert value("find(input.t, '(?s)a.b')", t="a\nb") == "a\nb"
    assert value("replace_pattern('a', 'a', '$x $')") == "$x $"
    assert value("replace_pattern('a', '(a)', '$$1')") == "$1"


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "[z-a]", "a{2000}", "*"])
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    assert pattern_problem(pattern)
    with pytest.raises(EvaluationError, match="takes a regular expression"):
        value("matches('a', input.p)", p=pattern)


@pytest.mark.parametrize("group", ["3", "-1", "'none'", "1.5", "true"])
def test_a_group_that_there_is_not(group: str) -> None:
    with pytest.raises(EvaluationError, match="one of the pattern's groups") as told:
        value(f"find('ab', '(a)(?P<last>b)', {group})")
    assert "0, 1, 2, last" in str(told.value.hint)


def test_the_language_works_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    module._compiled.cache_clear()
    monkeypatch.setattr(module, "import_module", absent)
    assert pattern_problem("(") is None
    assert builtins.str(value("1 + 1")) == "2"
    with pytest.raises(EvaluationError, match="google-re2") as told:
        value("matches('a', 'a')")
    assert "aicflow-language[patterns]" in str(told.value.hint)
