"""What the README shows is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from aicflow_ifelse import IfElse, Switch
from aicflow_ifelse.operators import Operator

TEXT = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def examples() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        read = yaml.safe_load(block)
        found += read if isinstance(read, list) else read["nodes"]
    return found


@pytest.mark.parametrize("node", examples())
def test_every_example_is_valid(node: dict[str, Any]) -> None:
    check = {"logic.if_else": IfElse.check, "logic.switch": Switch.check}[node["type"]]
    assert list(check(node["params"])) == []


def test_every_operator_is_described() -> None:
    assert [name for name in get_args(Operator) if f"`{name}`" not in TEXT] == []
    assert len(examples()) == 3
