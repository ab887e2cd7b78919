"""Every code that a first-party node type raises is declared by it, so that `retry.on` may name it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aicflow.host.wiring import installed_plugins
from aicflow.language.validation.retries import ATTEMPT_CODES

ROOT = Path(__file__).parents[2]
RAISED = re.compile(r"Error\((?:[^()]|\([^()]*\))*?\bcode=\"([a-z-]+)\"", re.DOTALL)


@pytest.mark.parametrize("plugin", ["agent", "data", "forms", "http", "ifelse", "python", "trigger"])
def test_codes_are_declared(plugin: str) -> None:
    registry = installed_plugins().registry
    types = [node.cls for node in registry.nodes() if node.provider.distribution == f"aicflow-{plugin}"]
    declared = ATTEMPT_CODES.union(*(cls.errors or () for cls in types))
    assert types
    assert all(cls.errors is not None for cls in types)
    sources = (ROOT / "plugins" / f"aicflow-{plugin}" / "src").rglob("*.py")
    raised = {code for path in sources for code in RAISED.findall(path.read_text())}
    assert raised - {"trigger-settings"} <= declared  # of triggers, which have no retry
