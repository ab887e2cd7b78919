"""What the README and the how-to page show works as shown."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aicflow_agent import Agent, AgentParams, Tool

HERE = Path(__file__).parents[1]
PAGES = [page for page in (HERE / "README.md", HERE.parents[1] / "docs/how-to/agents.md") if page.exists()]


def blocks(language: str) -> list[str]:
    return [code for page in PAGES for code in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str) -> None:
    exec(compile(code, "documentation", "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_blocks_are_accepted(text: str) -> None:
    agents = [node["params"] for node in yaml.safe_load(text) if node["type"] == "ai.agent"]
    assert agents
    for params in agents:
        assert not Agent.check(params)
        AgentParams.model_validate(params)


def test_every_param_is_in_the_readme() -> None:
    text = (HERE / "README.md").read_text()
    models: list[Any] = [AgentParams, Tool]
    for model in models:
        missing = [name for name in model.model_fields if f"`{name}`" not in text and name != "price"]
        assert not missing, inspect.getdoc(model)
