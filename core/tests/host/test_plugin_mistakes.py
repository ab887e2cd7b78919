"""A host with plugins that went wrong: it runs, and says what is wrong with them."""

from __future__ import annotations

import logging
import time
import types
from pathlib import Path
from typing import Any

import pytest
from aicflow import hookimpl, node

from .conftest import Host, run_host, test_plugins


class Thing:
    """Not JSON."""


@node("test.sleepy")
async def sleepy(seconds: float) -> int:
    """Blocks the event loop."""
    time.sleep(seconds)  # noqa: ASYNC251 - the mistake
    return 1


@node("test.thing")
async def thing() -> Any:
    """Returns what JSON cannot hold."""
    return {"rows": [1, {"first": Thing()}]}


def module(**hooks: Any) -> types.ModuleType:
    made = types.ModuleType("wrong")
    for name, hook in hooks.items():
        setattr(made, name, hookimpl(hook))
    return made


@pytest.fixture
def host(tmp_path: Path) -> Any:
    plugins = test_plugins()
    wrong = module(
        aicflow_stores=lambda: ["sqlite"],
        aicflow_secrets=lambda: [object()],
        aicflow_routes=lambda runtime: ("/x", print),
        aicflow_observers=lambda: [print],
    )
    plugins.manager.register(wrong, name="wrong")
    plugins.infos.append(type(plugins.infos[0])("wrong", "wrong", "1"))
    for cls in (sleepy, thing):
        plugins.registry.register(cls)
    with run_host(tmp_path / "data", store="memory://", plugins=plugins) as running:
        yield running


def test_the_host_runs_and_reports_what_hooks_returned(host: Host) -> None:
    with host.bare() as client:
        assert client.get(f"{host.url}/readyz").json()["plugins"]["partial"] == 1
    listed = {one["name"]: one for one in host.client.get("/plugins").json()["data"]}["wrong"]
    told = " ".join(problem["message"] for problem in listed["problems"])
    for words in ("StoreType(scheme, create)", "a SecretSource needs", "Mount(path, app", "a Observer needs events"):
        assert words in told


def test_an_output_that_is_no_json_names_the_field(host: Host) -> None:
    host.save({"aicflow": 1, "name": "thing", "nodes": [{"id": "t", "type": "test.thing"}]}, id="thing")
    error = host.start("thing")["error"]
    assert error["code"] == "output-invalid"
    assert "/rows/1/first is a Thing" in error["message"]


def test_a_node_that_blocks_the_event_loop_is_named(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.save(
        {"aicflow": 1, "name": "sleepy", "nodes": [{"id": "zzz", "type": "test.sleepy", "params": {"seconds": 3}}]},
        id="sleepy",
    )
    with caplog.at_level(logging.WARNING, "aicflow.engine"):
        assert host.start("sleepy", wait=20)["status"] == "succeeded"
    told = [record.getMessage() for record in caplog.records if "blocks the event loop" in record.getMessage()]
    assert len(told) == 1, "each blockage is told once"
    assert "Node 'zzz' of type test.sleepy" in told[0]
    assert "time.sleep(seconds)" in told[0]
    figures = host.client.get(f"{host.url}/metrics").text
    assert 'aicflow_loop_blocked_total{node_type="test.sleepy"} 1.0' in figures
    assert "aicflow_loop_lag_seconds_count" in figures


def test_metrics_need_a_key(host: Host) -> None:
    with host.bare() as client:
        assert client.get(f"{host.url}/metrics").status_code == 401
