"""Patterns in expressions, when a workflow is saved: what is none is found, and what comes of them has types."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.cli.plugins import quiet_plugins
from aicflow.language.validation import validate


@pytest.fixture(scope="module")
def registry() -> Any:
    return quiet_plugins().registry


@pytest.mark.parametrize(
    ("expression", "codes"),
    [
        (r"matches(input.text, '^\\d+$')", []),
        ("matches(input.text, '(')", ["type.operand"]),
        ("input.text.matches('(?=a)')", ["type.operand"]),
        (r"input.text.find('(a)\\1')", ["type.operand"]),
        ("matches(input.text, input.text)", []),
        ("matches(input.number, 'a')", ["type.operand"]),
        ("matches(input.text, 'a') + 1", ["type.operand"]),
        ("find(input.text, 'a').upper()", ["type.maybe-null"]),
        ("(find(input.text, 'a') ?? '').upper()", []),
        ("join(find_all(input.text, 'a'), ' ')", []),
        ("join(find_all(input.text, '(a)', 1), ' ')", ["type.maybe-null"]),
        ("join(split_pattern(input.text, 'a'), ' ')", []),
        ("replace_pattern(input.text, 'a', 'b').upper()", []),
        ("replace_pattern(input.text, 'a', 1)", ["type.operand"]),
        ("matches(input.text)", ["expr.arity"]),
    ],
)
def test_patterns_are_checked(registry: Any, expression: str, codes: list[str]) -> None:
    fields = {"text": {"type": "string"}, "number": {"type": "number"}}
    document = {
        "aicflow": 1,
        "name": "n",
        "input_schema": {"type": "object", "properties": fields, "required": ["text", "number"]},
        "nodes": [{"id": "w", "type": "wait", "params": {"seconds": 0}}],
        "output": "${{ " + expression + " }}",
    }
    assert [issue.code for issue in validate(document, registry)] == codes
