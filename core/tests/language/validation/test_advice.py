"""What a hint advises is itself accepted: each is carried out word for word, and what it was about is gone."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Any

import pytest
from aicflow_language.expr import ExpressionError, compile_expression
from aicflow_language.expr.functions import _ELSEWHERE

NODES = [
    {"id": "fetch", "type": "t.fetch"},
    {"id": "gate", "type": "t.if", "params": {"condition": "${{ nodes.fetch.output.ok }}"}},
    {"id": "yes", "type": "t.fetch"},
    {"id": "caught", "type": "t.any"},
    {"id": "take", "type": "t.take"},
]
EDGES = [
    {"from": "fetch", "to": "gate"},
    {"from": "gate", "port": "true", "to": "yes"},
    {"from": "yes", "to": "take"},
    {"from": "gate", "port": "false", "to": "take"},
    {"from": "yes", "port": "error", "to": "caught"},
    {"from": "caught", "to": "take"},
]
DEFAULTS: dict[str, Any] = {"text": "x", "number": 0, "count": 1, "flag": True, "texts": [], "value": None}

WRONG = [
    ("text", "nodes.fetch.output.sttus"),
    ("text", "nodes.ftech.output.status"),
    ("number", "input.tota"),
    ("number", "vars.limi"),
    ("text", "input.total"),
    ("text", "nodes.fetch.output.ok"),
    ("text", "nodes.fetch.output.people"),
    ("text", "nodes.fetch.output.extra"),
    ("text", "nodes.yes.output.status"),
    ("text", "nodes.yes.error.message"),
    ("text", "nodes.fetch.status"),
    ("text", 'nodes.fetch.output.status + "" + vars.limit'),
    ("number", "lenght(nodes.fetch.output.people)"),
    ("flag", "vars.limit = 3"),
    ("flag", "vars.limit === 3"),
    ("flag", "nodes.fetch.output.ok & true"),
    ("flag", "nodes.fetch.output.ok is true"),
    ("count", "input.code"),
    ("number", "input.code"),
    ("text", "input.note"),
]


def carried_out(hint: str, source: str, param: str) -> list[str]:
    """The expression as a hint wants it; every way that it offers."""
    default = json.dumps(DEFAULTS[param])
    if near := re.match(r"Did you mean '([^']+)'\?", hint):
        (misspelt,) = get_close_matches(near[1], re.findall(r"\w+", source), n=1)
        return [source.replace(misspelt, near[1])]
    if "around the value that is not text" in hint:
        return [source.replace("vars.limit", f"{name}(vars.limit)") for name in re.findall(r"(\w+)\(…\)", hint)]
    if around := re.match(r"Write (\w+)\(…\) around it\.", hint):
        return [f"{around[1]}({source})"]
    if hint.startswith("Write json(value)"):
        return [f"json({source})"]
    if hint.startswith("Give a default with ??"):
        return [f"{source} ?? {default}"]
    if hint.startswith("Give a default, such as"):
        return [f'{source} ?? ""', f"json({source})"]
    if quoted := re.match(r"Write '([^']+)'", hint):
        return [re.sub(r"===|=|&|is", quoted[1], source)]
    if ref := re.match(r"Write (nodes\.[\w.?]+?)(?:\.…)?(?:\.$|,| to get)", hint):
        # the whole path is offered, so that the default fits
        assert "error" in ref[1] or ref[1].replace("?", "") in source or "?" not in ref[1], hint
        return [ref[1], f"{ref[1]} ?? {default}"] if "?" in ref[1] else [ref[1]]
    raise AssertionError(f"not carried out: {hint}")


@pytest.mark.parametrize(("param", "source"), WRONG)
def test_what_is_advised_is_accepted(issues_of: Any, param: str, source: str) -> None:
    def found(written: str) -> list[Any]:
        nodes = [*NODES[:-1], {**NODES[-1], "params": {param: "${{ " + written + " }}"}}]
        fields = {"total": {"type": "integer"}, "code": {"type": "string"}, "note": {"type": ["string", "null"]}}
        schema = {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
        return [
            issue
            for issue in issues_of({"input_schema": schema, "vars": {"limit": 3}, "nodes": nodes, "edges": EDGES})
            if issue.pointer.startswith("/nodes/4/params")
        ]

    issues = [issue for issue in found(source) if issue.hint]
    assert issues, "it is refused, with a hint"
    for issue in issues:
        offered = carried_out(issue.hint, source, param)
        left = [[(one.code, one.message, one.severity) for one in found(mended)] for mended in offered]
        for mended, now in zip(offered, left, strict=True):
            assert (issue.code, issue.message, issue.severity) not in now, (issue.hint, mended)
            assert not any(code.startswith(("expr.", "template.")) for code, _, _ in now), (issue.hint, mended, now)
        assert any(all(severity == "warning" for _, _, severity in now) for now in left), (issue.hint, offered, left)


def test_what_is_offered_for_functions_of_other_languages_compiles() -> None:
    for name in _ELSEWHERE:
        with pytest.raises(ExpressionError) as caught:
            compile_expression(f"{name}(a)")
        hint = caught.value.hint or ""
        offered = re.findall(r"\[[^\]]*\]|[\w.]+\([^)]*\)|\w+ (?:\?\?|in|!=) [\w\"]+", hint.replace("len([x", "([x"))
        assert offered or name in ("format", "now"), hint
        for code in offered:
            compile_expression(code)
