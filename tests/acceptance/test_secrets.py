"""Ines keeps secrets in a server: written, used, limited, listed, rotated and deleted, and never shown."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.plugin import plugin_path
from tests.support.server import Server, running_server, start_server

NODES = '''
from aicflow import Context, Node, Output, Params, SecretText, hookimpl


class LengthParams(Params):
    secret: SecretText


class LengthOutput(Output):
    last: str
    length: int


class Length(Node[LengthParams, LengthOutput]):
    """How long a secret is, and its last character."""

    type_id = "acme.length"

    async def run(self, ctx: Context, params: LengthParams) -> LengthOutput:
        return LengthOutput(last=params.secret[-1], length=len(params.secret))


class Vault:
    """A key in a hardware module, as far as the server knows."""

    name = "acme-vault"

    async def wrap(self, key, context):
        return b"vault:" + bytes(a ^ 0x5A for a in key) + context

    async def unwrap(self, wrapped, context):
        if not wrapped.endswith(context):
            raise ValueError("of another secret")
        return bytes(a ^ 0x5A for a in wrapped[6:38])


@hookimpl
def aicflow_nodes():
    return [Length]


@hookimpl
def aicflow_key_wrappers():
    return [Vault()]
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "acme_length.py").write_text(NODES)
    return {"PYTHONPATH": plugin_path(folder, "acme-length", "acme_length")}


@pytest.fixture(scope="module")
def server(plugin: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mounted = tmp_path_factory.mktemp("mounted")
    (mounted / "MOUNTED").write_text("value-from-a-file\n")
    (mounted / "BOTH").write_text("value-of-a-mounted-file")
    environment = {**plugin, "AICFLOW_SECRETS_DIR": str(mounted), "AICFLOW_SECRET_BOTH": "value-of-the-environment"}
    with running_server(tmp_path_factory.mktemp("data"), environment) as server:
        yield server


def api(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60)


def workflow(name: str, secret: str, **more: Any) -> dict[str, Any]:
    nodes = [{"id": "n", "type": "acme.length", "params": {"secret": f"${{{{ secrets.{secret} }}}}"}}]
    return {"aicflow": 1, "name": name, "nodes": nodes, "output": "${{ nodes.n.output }}", **more}


def run(client: httpx2.Client, workflow_id: str) -> Any:
    execution = client.post("/executions?wait=30", json={"workflow_id": workflow_id}).json()
    return execution["output"] if execution["status"] == "succeeded" else execution["error"]["code"]


def test_a_secret_is_kept_used_changed_and_deleted(server: Server) -> None:
    with api(server) as client:
        made = client.put("/secrets/TOKEN", json={"value": "first-secret-value-A", "description": "of the shop"})
        assert made.status_code == 201, made.text
        assert made.json() | {"created_at": "", "updated_at": ""} == {
            "name": "TOKEN",
            "source": "store",
            "version": 1,
            "description": "of the shop",
            "workflows": [],
            "labels": {},
            "created_at": "",
            "updated_at": "",
            "last_used_at": None,
            "used_by": [],
        }
        saved = client.post("/workflows", json=workflow("uses it", "TOKEN"))
        assert (saved.status_code, saved.json()["issues"]) == (201, [])
        workflow_id = saved.json()["id"]
        assert run(client, workflow_id) == {"last": "A", "length": 20}

        changed = client.put(
            "/secrets/TOKEN", json={"value": "another-secret-B"}, headers={"if-match": made.headers["etag"]}
        )
        assert (changed.status_code, changed.json()["version"]) == (200, 2)
        assert changed.json()["description"] == "of the shop"
        assert run(client, workflow_id) == {"last": "B", "length": 16}, "at once"
        stale = client.put("/secrets/TOKEN", json={"value": "not-taken"}, headers={"if-match": made.headers["etag"]})
        assert stale.status_code == 412
        assert client.put("/secrets/TOKEN", json={"value": "x-y-z"}, headers={"if-none-match": "*"}).status_code == 412
        only_text = client.put("/secrets/TOKEN", json={"description": None}).json()
        assert (only_text["version"], only_text["description"]) == (3, None)
        assert run(client, workflow_id)["last"] == "B", "the value stays"

        [use] = client.get("/secrets/TOKEN").json()["used_by"]
        assert (use["workflow_id"], use["node_id"], use["pointer"]) == (workflow_id, "n", "/nodes/0/params/secret")
        refused = client.delete("/secrets/TOKEN")
        assert refused.status_code == 409
        assert "uses it" in refused.json()["detail"]
        assert client.delete("/secrets/TOKEN?force=true").status_code == 204
        assert client.delete("/secrets/TOKEN").status_code == 404
        assert run(client, workflow_id) == "secret-missing"
        warned = client.post("/workflows", json=workflow("too", "TOKEN")).json()
        assert [issue["code"] for issue in warned.get("issues", warned.get("errors"))] == ["ref.unknown-secret"]

        for body, told in (
            ({"value": "abc"}, "at least 4 characters"),
            ({"description": "no value"}, "A new secret needs a value"),
            ({"value": 7}, "string"),
        ):
            wrong = client.put("/secrets/NEW", json=body)
            assert wrong.status_code in (404, 422)
            assert told in wrong.text


def test_a_secret_for_some_workflows_is_unknown_elsewhere(server: Server) -> None:
    with api(server) as client:
        client.put("/secrets/LIMITED", json={"value": "limited-value-L", "workflows": ["wf_billing"]})
        client.put("/secrets/TEAM", json={"value": "team-value-T", "labels": {"team": "billing"}})
        ids = {}
        for name, more in (("wf_billing", {}), ("wf_labelled", {"labels": {"team": "billing", "x": "y"}})):
            for secret in ("LIMITED", "TEAM"):
                document = workflow(name, secret, **more)
                workflow_id = name if secret == "LIMITED" else f"{name}_team"
                answer = client.post(f"/workflows?id={workflow_id}", json=document)
                codes = [one["code"] for one in answer.json().get("issues", answer.json().get("errors"))]
                ids[workflow_id] = codes
        assert ids["wf_billing"] == []
        assert ids["wf_labelled"] == ["ref.unknown-secret"]
        assert ids["wf_billing_team"] == ["ref.unknown-secret"]
        assert ids["wf_labelled_team"] == []
        assert run(client, "wf_billing")["last"] == "L"
        assert run(client, "wf_labelled_team")["last"] == "T"
        client.put("/secrets/LIMITED", json={"workflows": ["wf_other"]})
        assert run(client, "wf_billing") == "secret-missing"
        client.put("/secrets/LIMITED", json={"workflows": []})
        assert run(client, "wf_billing")["last"] == "L"


def test_sources_are_asked_in_order_and_listed(server: Server) -> None:
    with api(server) as client:
        for secret in ("BOTH", "MOUNTED"):
            client.post(f"/workflows?id=wf_{secret}", json=workflow(secret, secret)).raise_for_status()
        assert run(client, "wf_MOUNTED") == {"last": "e", "length": 17}, "without the line end"
        assert run(client, "wf_BOTH")["length"] == len("value-of-the-environment")
        client.put("/secrets/BOTH", json={"value": "value-of-the-store"})
        assert run(client, "wf_BOTH")["length"] == len("value-of-the-store"), "the store comes first"
        listed = {(one["name"], one["source"]) for one in client.get("/secrets").json()["data"]}
        assert {("BOTH", "store"), ("BOTH", "environment"), ("BOTH", "files"), ("MOUNTED", "files")} <= listed
        first = client.get("/secrets?limit=1").json()
        assert client.get(f"/secrets?limit=1&cursor={first['next_cursor']}").json()["data"]


def aicflow(server: Server, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "aicflow.cli", "secrets", *words],
        env={**inherited, **server.environment},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_takes_values_from_standard_input(server: Server) -> None:
    made = aicflow(server, "set", "CLI", "--label", "team=a", "--description", "by hand", given="from-stdin-é\n")
    assert (made.returncode, made.stderr) == (0, "CLI is at version 1 (only for team=a).\n")
    assert aicflow(server, "set", "CLI", "--keep-value", "--everywhere").stderr == "CLI is at version 2.\n"
    assert aicflow(server, "set", "CLI", "--create", given="again-again").returncode == 1
    with api(server) as client:
        client.post("/workflows?id=wf_cli", json=workflow("by hand", "CLI")).raise_for_status()
        assert run(client, "wf_cli") == {"last": "é", "length": 12}
    assert "wf_cli" in aicflow(server, "uses", "CLI").stdout
    rows = json.loads(aicflow(server, "list", "--output", "json").stdout)
    assert [row["description"] for row in rows if row["name"] == "CLI"] == ["by hand"]
    assert "CLI" in aicflow(server, "list").stdout
    refused = aicflow(server, "delete", "CLI")
    assert (refused.returncode, "'by hand' (wf_cli)" in refused.stderr) == (1, True)
    assert aicflow(server, "delete", "CLI", "--force").returncode == 0
    assert aicflow(server, "set", "CLI", given="\n").returncode == 2
    assert "Unexpected argument" in aicflow(server, "set", "CLI", "on-the-command-line").stderr


def test_a_trigger_takes_a_changed_secret_at_once(server: Server) -> None:
    def called(key: str) -> int:
        return httpx2.post(f"{server.url}/hooks/guarded", headers={"x-key": key}, json={}).status_code

    auth = {"type": "api_key", "header": "X-Key", "keys": ["${{ secrets.HOOK_KEY }}"]}
    trigger = {"id": "hook", "type": "trigger.webhook", "params": {"path": "guarded", "auth": auth}}
    nodes = [{"id": "n", "type": "wait", "params": {"seconds": 0}}]
    document = {"aicflow": 1, "name": "guarded", "nodes": nodes, "triggers": [trigger]}
    with api(server) as client:
        client.put("/secrets/HOOK_KEY", json={"value": "the-first-key"}).raise_for_status()
        client.post("/workflows?id=wf_guarded", json=document).raise_for_status()
        assert (called("the-first-key"), called("the-second-key")) == (202, 401)
        client.put("/secrets/HOOK_KEY", json={"value": "the-second-key"}).raise_for_status()
        assert (called("the-first-key"), called("the-second-key")) == (401, 202)
        client.delete("/secrets/HOOK_KEY?force=true").raise_for_status()
        assert called("the-second-key") == 503
        client.put("/secrets/HOOK_KEY", json={"value": "the-third-key"}).raise_for_status()
        assert called("the-third-key") == 202


def test_doctor_says_what_is_wrong_with_the_secrets_of_a_server(tmp_path: Path, plugin: dict[str, str]) -> None:
    data = tmp_path / "data"

    def told() -> list[str]:
        command = [sys.executable, "-m", "aicflow.cli", "doctor", "--data-dir", str(data), "--output", "json"]
        done = subprocess.run(command, env={**os.environ, **plugin}, capture_output=True, timeout=60, check=False)
        rows = json.loads(done.stdout)["findings"]
        return [f"{row['state']}: {row['text']}" for row in rows if row["subject"] == "secrets"]

    with running_server(data, plugin) as server, api(server) as client:
        put(server, 2)
        client.post("/workflows?id=wf_0", json=workflow("zero", "S000")).raise_for_status()
        assert "ok: 2 are stored, and all that workflows name are there" in told()
        client.put("/secrets/S000", json={"workflows": ["wf_other"]}).raise_for_status()
        assert any(one.startswith("problem: S000") and "wf_0, whose node n uses it" in one for one in told())
        with sqlite3.connect(data / "aicflow.db") as connection:
            connection.execute("UPDATE secrets SET kek_id = 'local-gone' WHERE name = 'S001'")
        connection.close()
        found = told()
        assert "problem: some are sealed under the key local-gone, which the server does not have" in found
        assert any(one.startswith("note: 1 of 2 wait to be sealed under the key local-") for one in found)


def put(server: Server, count: int) -> None:
    with api(server) as client:
        for number in range(count):
            client.put(f"/secrets/S{number:03}", json={"value": f"the-value-number-{number:03}"}).raise_for_status()


def test_a_wrong_key_is_refused_at_the_start(tmp_path: Path, plugin: dict[str, str]) -> None:
    data = tmp_path / "data"
    with running_server(data, plugin) as server:
        put(server, 2)
    own = data / "secrets.key"
    assert own.stat().st_mode & 0o777 == 0o600
    assert "backup" in (data / "server.log").read_text()
    apart = tmp_path / "apart.key"
    for text, mode, told in (
        (None, 0o600, "cannot be read"),
        ("A" * 43 + "=\n", 0o600, "2 stored secrets are sealed under the key local-"),
        ("A" * 43 + "=\n", 0o644, "Others can read the key file"),
        ("not a key\n", 0o600, "Line 1 of"),
    ):
        if text is not None:
            apart.write_text(text)
            apart.chmod(mode)
        with pytest.raises(AssertionError, match="did not start") as refused:
            start_server(data, {**plugin, "AICFLOW_SECRETS_KEY_FILE": str(apart)})
        assert told in str(refused.value)
    # the old key as a further line: the server starts, and wraps all with the first one
    apart.write_text("A" * 43 + "=\n" + own.read_text())
    apart.chmod(0o600)
    own.unlink()
    environment = {**plugin, "AICFLOW_SECRETS_KEY_FILE": str(apart)}
    with running_server(data, environment) as server, api(server) as client:
        client.post("/workflows?id=wf_1", json=workflow("one", "S001")).raise_for_status()
        assert run(client, "wf_1")["last"] == "1"
        done = client.post("/secrets-key/rotate").json()
        assert done["secrets"] == 2
    apart.write_text("A" * 43 + "=\n")
    with running_server(data, environment) as server, api(server) as client:
        assert run(client, "wf_1")["last"] == "1"


def test_a_key_of_a_plugin_wraps(tmp_path: Path, plugin: dict[str, str]) -> None:
    data = tmp_path / "data"
    with running_server(data, plugin) as server:
        put(server, 1)
    wrapped = {**plugin, "AICFLOW_SECRETS_KEY_WRAPPER": "acme-vault"}
    with running_server(data, wrapped) as server, api(server) as client:
        client.put("/secrets/OTHER", json={"value": "in-the-vault-V"}).raise_for_status()
        assert client.post("/secrets-key/rotate").json() | {"rotated": 0} == {
            "key": "acme-vault",
            "rotated": 0,
            "secrets": 2,
        }
    (data / "secrets.key").unlink()
    with running_server(data, wrapped) as server, api(server) as client:
        client.post("/workflows?id=wf_1", json=workflow("one", "S000")).raise_for_status()
        assert run(client, "wf_1")["last"] == "0"
    with pytest.raises(AssertionError, match="available keys: acme-vault"):
        start_server(data, {**plugin, "AICFLOW_SECRETS_KEY_WRAPPER": "acme-volt"})


def test_a_rotation_that_is_killed_goes_on_by_itself(tmp_path: Path, plugin: dict[str, str]) -> None:
    data = tmp_path / "data"
    server = start_server(data, plugin)
    put(server, 350)
    for _ in range(3):
        asking = subprocess.Popen(
            [sys.executable, "-m", "aicflow.cli", "secrets", "rotate-key"],
            env={**os.environ, **server.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = (data / "secrets.key").read_text()
        while (data / "secrets.key").read_text() == before and asking.poll() is None:
            time.sleep(0.001)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        asking.wait(timeout=60)
        server = start_server(data, plugin)
    try:
        newest = (data / "secrets.key").read_text().splitlines()[0]
        with api(server) as client:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and _others(data, newest):
                time.sleep(0.05)
            assert not _others(data, newest), "all are under the newest key without being asked"
            for number in (0, 99, 100, 349):
                client.post(f"/workflows?id=wf_{number}", json=workflow("w", f"S{number:03}")).raise_for_status()
                assert run(client, f"wf_{number}") == {"last": str(number)[-1], "length": 20}
    finally:
        server.process.terminate()
        server.process.wait()


def _others(data: Path, key: str) -> int:
    """How many secrets are not under this key."""
    from aicflow.engine.envelope import read_keys

    with sqlite3.connect(f"file:{data / 'aicflow.db'}?mode=ro", uri=True) as connection:
        name = read_keys(key, "the test")[0].name
        count: int = connection.execute("SELECT count(*) FROM secrets WHERE kek_id <> ?", (name,)).fetchone()[0]
    connection.close()
    return count
