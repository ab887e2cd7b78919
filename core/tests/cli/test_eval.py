"""`aicflow eval` without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_an_expression_is_evaluated_here(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("aicflow: 1\nname: w\nvars: {limit: 3}\nnodes: []\n")
    (tmp_path / "in.json").write_text('{"n": 4}')
    assert aicflow("eval", "1 + 2").stdout == "3\n"
    assert json.loads(aicflow("eval", "input", "--input", '{"a": ["é"]}').stdout) == {"a": ["é"]}
    assert aicflow("eval", "input.n + vars.limit", "--input", "@in.json", "--file", "w.yaml").stdout == "7\n"
    assert aicflow("eval", "nodes.a.output", "--scope", '{"nodes": {"a": {"output": 1}}}').stdout == "1\n"
    found = json.loads(aicflow("eval", "is ${{ 1 }}", "--output", "json").stdout)
    assert found == {"ok": True, "value": "is 1", "type": "string"}


def test_an_error_is_shown_where_it_stands(aicflow: Run) -> None:
    done = aicflow("eval", "1 + input.n", "--input", '{"m": 1}')
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:3] == ["  1 + input.n", "            ^"]
    assert "eval.missing-key" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["1", "--scope", "[]"],
        ["1", "--scope", '{"secrets": {}}'],
        ["1", "--input", "{"],
        ["1", "--node", "a"],
        ["1", "--file", "none.yaml"],
        ["1", "--file", "w.yaml", "--execution", "ex_1"],
        ["1", "--execution", "ex_1"],
        [],
    ],
)
def test_wrong_input_is_a_sentence(aicflow: Run, arguments: list[str]) -> None:
    done = aicflow("eval", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
