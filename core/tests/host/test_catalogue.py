"""What is installed, and configuring it over HTTP."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aicflow.host.wiring import installed_plugins

from .conftest import ECHO, Host, problem


def test_node_types_are_shown_with_what_an_editor_needs(host: Host) -> None:
    listed = host.client.get("/node-types").json()
    ids = [one["type_id"] for one in listed["data"]]
    assert ids == sorted(ids)
    assert {"test.echo", "test.gate", "wait"} <= set(ids)
    echo = host.client.get("/node-types/test.echo").json()
    assert echo["summary"] == "Give back the value."
    assert echo["documentation"] == "Whatever it is."
    assert echo["params_schema"]["properties"].keys() == {"value"}
    assert (echo["enabled"], echo["pure"], echo["ports"], echo["versions"]) == (True, True, ["main"], [1])
    assert echo["provider"]["plugin"] == "(embedded)"
    problem(host.client.get("/node-types/test.ecko"), 404, "not-found")
    assert "test.echo" in host.client.get("/node-types/test.ecko").json()["hint"]
    first = host.client.get("/node-types?limit=2").json()
    rest = host.client.get("/node-types", params={"cursor": first["next_cursor"]}).json()
    assert [one["type_id"] for one in first["data"] + rest["data"]] == ids


def test_a_node_type_is_configured_without_a_restart_and_keeps_it(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        host.save({**ECHO, "nodes": [{"id": "say", "type": "test.echo"}]}, id="quiet")
        assert host.start("quiet")["output"] is None
        set_to = host.client.patch("/node-types/test.echo", json={"default_params": {"value": "by default"}})
        assert set_to.json()["default_params"] == {"value": "by default"}
        assert host.start("quiet")["output"] == "by default"
        assert host.client.patch("/node-types/test.echo", json={"enabled": False}).json()["enabled"] is False
        refused = host.client.post("/executions", json={"workflow_id": "quiet"})
        assert refused.status_code == 409
    with new_host() as again:
        kept = again.client.get("/node-types/test.echo").json()
        assert (kept["enabled"], kept["default_params"]) == (False, {"value": "by default"})
        again.client.patch("/node-types/test.echo", json={"enabled": True})
        assert again.start("quiet")["output"] == "by default"


def test_trigger_types_and_plugins(host: Host) -> None:
    bell = host.client.get("/trigger-types/test.bell").json()
    assert bell["params_schema"]["properties"].keys() == {"tone", "broken"}
    assert [one["type_id"] for one in host.client.get("/trigger-types").json()["data"]] == [
        "test.bell",
        "trigger.event",
        "trigger.workflow",
    ]
    plugins = {one["name"]: one for one in host.client.get("/plugins").json()["data"]}
    assert plugins["aicflow-engine"]["node_types"] == ["wait", "workflow.call", "map", "repeat", "group"]
    assert host.client.get("/plugins/aicflow-engine").json() == plugins["aicflow-engine"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], importlib.metadata.EntryPoint]:
    """Install a plugin from its source into a folder of this test."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name: str, source: str) -> importlib.metadata.EntryPoint:
        site = tmp_path / "site"
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nRequires-Dist: aicflow>=0.1\n"
        )
        (info / "entry_points.txt").write_text(f"[aicflow]\n{name} = {name}\n")
        importlib.invalidate_caches()
        distribution = importlib.metadata.Distribution.at(info)
        return next(iter(distribution.entry_points))

    yield install  # type: ignore[misc]
    for module in ("shouter", "broken_plugin"):
        sys.modules.pop(module, None)


def test_a_package_from_outside_brings_a_node_and_a_broken_one_stops_nobody(
    new_host: Callable[..., Any], package: Any
) -> None:
    entries = [
        package("shouter", SHOUTER),
        package("broken_plugin", "import nothing_of_this_name"),
    ]
    with new_host(plugins=installed_plugins(found=entries)) as host:
        shown = host.client.get("/node-types/text.shout").json()
        assert shown["provider"] == {"plugin": "shouter", "distribution": "shouter", "version": "1.2"}
        node = {"id": "shout", "type": "text.shout", "params": {"text": "${{ input }}"}}
        host.save({**ECHO, "nodes": [node], "output": "${{ nodes.shout.output }}"}, id="shout")
        assert host.start("shout", "hey")["output"] == "HEY"
        assert host.client.get(host.url + "/shouts/loud").text == "LOUD"
        with host.bare() as nobody:
            assert nobody.get(host.url + "/shouts/open").text == "LOUD", "a public mount checks by itself"
            problem(nobody.get(host.url + "/private/x"), 401, "unauthorized")
        broken = host.client.get("/plugins/broken_plugin").json()
        assert broken["status"] == "failed"
        assert broken["problems"][0]["code"] == "import-failed"
        ready = host.client.get(host.url + "/readyz").json()
        assert ready["plugins"] == {"loaded": 3, "failed": 1}


SHOUTER = '''
from aicflow import Mount, hookimpl, node

@node("text.shout")
async def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()

@hookimpl
def aicflow_nodes():
    return [shout]

async def loud(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"LOUD"})

@hookimpl
def aicflow_routes(runtime):
    assert runtime.triggers.clock.now() > 0
    return [Mount("/shouts", loud, public=True), Mount("/private", loud)]
'''


def test_the_schema_of_the_document_knows_the_params_of_what_is_installed(host: Host) -> None:
    answer = host.client.get("/schema/workflow")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    good = {**ECHO, "nodes": [{"id": "c", "type": "test.chatter", "params": {"lines": "${{ input }}", "size": 5}}]}
    validator.validate(good)
    for params in ({"lines": "many"}, {"linse": 1}, {"lines": 1.5}):
        bad = {**good, "nodes": [{"id": "c", "type": "test.chatter", "params": params}]}
        assert not validator.is_valid(bad), params
    assert not validator.is_valid({**good, "nodes": [{"id": "c", "type": "test.none"}]})


def test_answers_carry_security_headers(host: Host) -> None:
    for path in ("/livez", "/api/v1/workflows", "/docs"):
        headers = host.client.get(host.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_browsers_of_chosen_origins_may_call(new_host: Callable[..., Any]) -> None:
    with new_host(store="memory://", cors_origins="https://app.example.com") as host, host.bare() as browser:
        asked = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
        preflight = browser.options("/executions", headers=asked)
        assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
        other = browser.options("/executions", headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
