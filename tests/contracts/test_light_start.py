"""What every command pays for: finding the plugins loads no HTTP library, no LangChain and no web framework."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

FIRST_PARTY = (
    "aicflow_agent",
    "aicflow_console",
    "aicflow_curl",
    "aicflow_data",
    "aicflow_files",
    "aicflow_forms",
    "aicflow_http",
    "aicflow_ifelse",
    "aicflow_python",
    "aicflow_trigger",
)
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


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["version"], {"asyncio", "pluggy", "pydantic", "rich", "yaml"}),
        (["--help"], {"asyncio", "pydantic", "yaml"}),
        (["cron", "--help"], {"asyncio", "croniter", "pydantic"}),
        (["validate", "FILE"], {"aicflow.engine.executions", "croniter", "pydantic_settings", "starlette"}),
        (["run", "FILE"], {"croniter", "pydantic_settings", "sqlite3", "starlette"}),
    ],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, arguments: list[str], absent: set[str]) -> None:
    (tmp_path / "FILE").write_text(
        '{"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": "wait", "params": {"seconds": 0}}]}'
    )
    loaded = modules_after(
        f"import os; os.chdir({str(tmp_path)!r})\nfrom aicflow.cli.program import run_program\n"
        f"assert run_program({arguments!r}) == 0"
    )
    assert "cyclopts" in loaded, "the command did not run"
    found = loaded & absent | {name for name in loaded if name in HEAVY or name.startswith("aicflow.store.sqlite")}
    assert not found


@pytest.mark.parametrize("plugin", FIRST_PARTY)
def test_importing_a_plugin_loads_none_of_its_parts(plugin: str) -> None:
    loaded = modules_after(f"import {plugin}")
    assert not {name for name in loaded if name.startswith(f"{plugin}.")}
    assert "pydantic" not in loaded, "the hooks of a plugin are read before its types are needed"


@pytest.mark.parametrize("plugin", ["aicflow", "aicflow.engine", "aicflow.testing", *FIRST_PARTY])
def test_every_public_name_can_be_imported(plugin: str) -> None:
    module = import_module(plugin)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="'no_such_name'"):
        module.no_such_name  # noqa: B018 - the look-up is what is tested
