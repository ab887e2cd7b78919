"""One distribution, installed from its wheel beside nothing but what it declares: it loads, and it works.

AICFLOW_ALONE names it: `core`, `sdk`, or `plugin-NAME`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALONE = os.environ.get("AICFLOW_ALONE", "")
pytestmark = pytest.mark.skipif(not ALONE, reason="AICFLOW_ALONE is not set; tox sets it")

SMALL: dict[str, list[dict[str, Any]]] = {
    "plugin-python": [{"id": "a", "type": "python.code", "params": {"code": "return 40 + 2"}}],
    "plugin-data": [{"id": "a", "type": "data.sort", "params": {"items": [2, 1]}}],
    "plugin-files": [{"id": "a", "type": "file.write", "params": {"text": "hello", "name": "a.txt"}}],
    "plugin-forms": [
        {"id": "a", "type": "form.wait", "params": {"title": "Pay?", "notify": "wf_none"}},
    ],
    "plugin-ifelse": [{"id": "a", "type": "logic.if_else", "params": {"condition": "${{ 1 < 2 }}"}}],
    "plugin-trigger": [{"id": "a", "type": "webhook.respond", "params": {"body": "hello"}}],
    "plugin-http": [{"id": "a", "type": "http.request", "params": {"url": "http://127.0.0.1:9/"}}],
    "plugin-agent": [
        {
            "id": "a",
            "type": "ai.agent",
            "params": {"model": "openai:x", "prompt": "hi", "base_url": "http://127.0.0.1:9"},
        }
    ],
}
EXPECTED = {
    "plugin-python": 42,
    "plugin-data": {"items": [1, 2]},
    "plugin-files": {
        "file": {
            "$blob": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "size": 5,
            "type": "text/plain",
            "name": "a.txt",
        }
    },
    "plugin-ifelse": {"result": True},
    "plugin-trigger": {"status": 200, "headers": {}, "body": "hello"},
}


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_nothing_else_of_ours_is_installed() -> None:
    ours = {dist.name for dist in importlib.metadata.distributions() if dist.name.startswith("aicflow")}
    ours.remove("aicflow-language")  # it comes along with each of them
    if ALONE == "sdk":
        assert ours == {"aicflow-sdk"}
    elif ALONE == "core":
        assert ours == {"aicflow"}
        assert not installed("fastapi")
        assert not installed("langgraph")
    else:
        needed = {"aicflow-http"} if ALONE == "plugin-curl" else set()
        assert ours == {"aicflow", ALONE.replace("plugin", "aicflow"), *needed}


@pytest.mark.skipif(ALONE == "sdk", reason="the SDK does not know aicflow")
def test_every_plugin_loads_without_a_problem() -> None:
    from aicflow.host.wiring import installed_plugins

    plugins = installed_plugins()
    problems = [(info.name, *problem) for info in plugins.infos for problem in info.problems]
    assert [problem for problem in problems if problem[1] != "advice"] == []
    for registered in plugins.registry.nodes():
        assert registered.cls.params_schema()["type"] == "object"
        assert registered.cls.__doc__
    for trigger in plugins.registry.triggers():
        assert trigger.cls.params_schema()["type"] == "object"


@pytest.mark.skipif(ALONE not in SMALL, reason="it has no nodes")
async def test_its_node_runs() -> None:
    from aicflow.testing import run_workflow

    result = await run_workflow({"aicflow": 1, "name": "alone", "nodes": SMALL[ALONE]})
    if ALONE in EXPECTED:
        assert (result.status, result.output) == ("succeeded", EXPECTED[ALONE])
    else:
        assert result.error is not None
        assert result.error.node_id == "a"
        assert result.error.code not in ("unexpected-error", "params-invalid")


@pytest.mark.skipif(ALONE != "core", reason="only where LangGraph is not installed")
async def test_an_engine_that_is_not_installed_is_refused_by_name() -> None:
    from aicflow import NotFound
    from aicflow.testing import run_workflow

    node = {"id": "a", "type": "wait", "params": {"seconds": 0}}
    with pytest.raises(NotFound, match="langgraph") as refused:
        await run_workflow({"aicflow": 1, "name": "alone", "nodes": [node]}, engine="langgraph")
    assert "'langgraph', which is not installed" in str(refused.value.hint)


@pytest.mark.skipif(ALONE != "plugin-postgres", reason="only where PostgreSQL's store is")
async def test_the_store_is_made_and_says_when_there_is_no_server() -> None:
    from aicflow.host.wiring import installed_plugins, make_store
    from aicflow.ports import StoreUnavailable

    store = make_store(installed_plugins(), "postgresql://nobody@127.0.0.1:9/none", {"patience": "0.2"})
    with pytest.raises(StoreUnavailable, match="PostgreSQL at 127"):
        await store.open()


@pytest.mark.skipif(ALONE != "plugin-curl", reason="only where curl is")
def test_a_curl_command_becomes_params_and_back() -> None:
    from aicflow_curl import from_curl, to_curl

    params = from_curl("curl -XPUT https://api.example.com/a").params
    assert params == {"url": "https://api.example.com/a", "method": "PUT"}
    assert "https://api.example.com/a" in to_curl(params)


@pytest.mark.skipif(ALONE != "sdk", reason="only where the SDK is")
def test_the_sdk_builds_a_workflow_without_aicflow() -> None:
    import aicflow_sdk

    assert not installed("aicflow")
    workflow = aicflow_sdk.Workflow("alone")
    workflow.node("wait", id="a", seconds=1)
    assert workflow.to_dict()["nodes"] == [{"id": "a", "type": "wait", "params": {"seconds": 1}}]


@pytest.mark.skipif(ALONE != "core", reason="only where aicflow is alone")
@pytest.mark.parametrize("arguments", [[], ["--help"], ["run", "x.yaml"], ["serve"]])
def test_the_command_says_what_to_install(arguments: list[str]) -> None:
    command = Path(sys.executable).with_name("aicflow")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: This is aicflow alone; the command needs: pip install 'aicflow[standard]'\n"
