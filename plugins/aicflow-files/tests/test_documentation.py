"""What the README shows is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aicflow.kernel.registry import Registry
from aicflow.language.validation import validate
from aicflow_files import aicflow_nodes
from aicflow_files.rows import TableParams, Written

TEXT = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def examples() -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [node for block in blocks for node in yaml.safe_load(block)]


@pytest.mark.parametrize("node", examples(), ids=lambda node: node["id"])
def test_every_example_is_valid(node: dict[str, Any]) -> None:
    registry = Registry()
    for cls in aicflow_nodes():
        registry.register(cls)
    assert validate({"aicflow": 1, "name": "x", "nodes": [node]}, registry) == []


def test_every_type_and_param_is_described() -> None:
    assert len(examples()) == 8
    shared = {*TableParams.model_fields, *Written.model_fields}
    for name in shared:
        assert f"`{name}`" in TEXT
    for cls in aicflow_nodes():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{cls.type_id}` |"))
        fields = {field.alias or name for name, field in cls.params_model.model_fields.items()}
        assert [name for name in fields - shared if f"`{name}`" not in row] == []
