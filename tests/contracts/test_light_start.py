"""What every command pays for: finding the plugins loads no HTTP library, no LangChain and no web framework."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

FIRST_PARTY = ("aicflow_agent", "aicflow_curl", "aicflow_http", "aicflow_ifelse", "aicflow_python", "aicflow_trigger")
HEAVY = ("fastapi", "httpx2", "httpcore2", "langchain", "langchain_core", "langgraph", "uvicorn")


def modules_after(program: str) -> set[str]:
    """The modules that a fresh interpreter has loaded once the program has run."""
    told = f"{program}\nimport sys, json\nprint(json.dumps(list(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout
    return set(json.loads(out.splitlines()[-1]))


def test_loading_all_plugins_brings_nothing_heavy() -> None:
    loaded = modules_after("from aicflow.cli.plugins import quiet_plugins\nassert quiet_plugins().registry.nodes()")
    assert loaded >= {"aicflow_http.node", "aicflow_agent.node"}, "the plugins were not loaded at all"
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("plugin", FIRST_PARTY)
def test_importing_a_plugin_loads_none_of_its_parts(plugin: str) -> None:
    parts = {name for name in modules_after(f"import {plugin}") if name.startswith(f"{plugin}.")}
    assert parts == set()


@pytest.mark.parametrize("plugin", FIRST_PARTY)
def test_every_public_name_can_be_imported(plugin: str) -> None:
    module = import_module(plugin)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="'no_such_name'"):
        module.no_such_name  # noqa: B018 - the look-up is what is tested
