"""The other commands, and wrong ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx2
import pytest
from aicflow import __version__
from aicflow.cli.program import run_program

from .conftest import PROGRAM, Run


def test_help_and_version(aicflow: Run) -> None:
    done = aicflow("--help")
    assert done.returncode == 0
    for command in ("serve", "run", "validate", "nodes", "plugins", "keys", "doctor", "version"):
        assert command in done.stdout
    assert aicflow("version").stdout.strip() == __version__
    assert aicflow("--version").stdout.strip() == __version__
    for command in ("serve", "run", "validate", "nodes", "plugins", "doctor"):
        assert aicflow(command, "--help").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["nodes", "none.such"], ["nodes", "--output", "xml"], ["keys", "create"], ["keys", "bogus"],
     ["keys", "create", "x", "--scope", "root"], ["keys", "create", "x", "--expires-in-days", "-1"],
     ["keys", "create", "x", "--label", "team"], ["keys", "create", "x", "--from", "10.0.0.1/8"],
     ["keys", "create", "x", "--scope", "admin", "--workflow", "a"], ["keys", "rotate", "x", "--overlap", "soon"],
     ["keys", "revoke", "none"], ["serve", "--port", "many"], ["version", "extra"], ["run", "a", "b"]],
)  # fmt: skip
def test_wrong_input_is_one_sentence_and_2(aicflow: Run, arguments: list[str]) -> None:
    done = aicflow(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""


def test_the_description_of_the_api_goes_where_it_is_wanted(aicflow: Run, tmp_path: Path) -> None:
    target = tmp_path / "openapi.json"
    assert aicflow("openapi", str(target)).stdout == ""
    assert target.read_text(encoding="utf-8") == aicflow("openapi").stdout
    done = aicflow("openapi", str(tmp_path / "none" / "openapi.json"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_wrong_settings_name_their_variable(aicflow: Run) -> None:
    for name, value in (("AICFLOW_PORT", "x"), ("AICFLOW_LOG_LEVEL", "loud"), ("AICFLOW_CORS_ORIGINS", "*")):
        done = aicflow("serve", env={name: value})
        assert done.returncode == 2
        assert name in done.stderr


def test_nodes_are_listed_and_shown(aicflow: Run) -> None:
    listed = aicflow("nodes").stdout
    assert "logic.if_else" in listed
    assert "aicflow-ifelse" in listed
    shown = aicflow("nodes", "wait").stdout
    for word in (
        "Wait for a time, for a person's answer or for an event.",
        "seconds",
        "number",
        "Ports: main, timeout",
    ):
        assert word in shown
    assert {one["type_id"] for one in json.loads(aicflow("nodes", "--output", "json").stdout)} >= {"wait"}
    assert "Did you mean 'wait'?" in aicflow("nodes", "wiat").stderr


def test_plugins_tell_their_problems(aicflow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aicflow("plugins").returncode == 0
    site = tmp_path / "site"
    info = site / "sad-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aicflow]\nsad = sad_module\n")
    (site / "sad_module.py").write_text("raise RuntimeError('so sad')\n")
    monkeypatch.syspath_prepend(str(site))
    done = aicflow("plugins")
    assert done.returncode == 1
    assert "RuntimeError: so sad" in done.stdout
    assert "sad_module.py:1" in done.stdout
    assert aicflow("nodes").returncode == 0, "it stops nobody else"


def test_a_plugin_adds_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from types import SimpleNamespace

    from aicflow import Command, hookimpl

    def greet(name: str, *, times: int = 1) -> int:
        """Greet someone."""
        print(f"hello {name} " * times)
        return 3

    class Plugin:
        @hookimpl
        def aicflow_commands(self) -> list[Command]:
            return [
                Command("greet", greet, help="Greet someone."),
                Command("next", greet, group="polite", help="Greet in a group."),
                Command("run", greet),
            ]

    entry = SimpleNamespace(name="polite", value="polite", module="polite", dist=None, load=Plugin)
    monkeypatch.setattr("aicflow.host.plugins.entry_points", lambda group: [entry])
    assert run_program(["greet", "Ada", "--times", "2"]) == 3
    assert run_program(["polite", "next", "Ada"]) == 3
    said = capsys.readouterr()
    assert said.out == "hello Ada hello Ada \nhello Ada \n"
    assert "'run' is left out" in said.err
    assert run_program(["greet"]) == 2


def test_keys_without_and_with_a_running_server(aicflow: Run, environment: dict[str, str]) -> None:
    done = aicflow("keys", "create", "before", "--scope", "read", "--scope", "execute")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("aicf_")
    assert "before" in aicflow("keys", "list").stdout
    before = done.stdout.strip()
    server = subprocess.Popen([*PROGRAM, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().split()[-1]

        def status(key: str) -> int:
            return httpx2.get(f"{url}/api/v1/workflows", headers={"x-api-key": key}).status_code

        assert status(before) == 200
        done = aicflow("keys", "create", "during", "--expires-in-days", "2", "--output", "json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert made["expires_at"] > made["created_at"]
        assert status(made["key"]) == 200
        done = aicflow("keys", "rotate", made["id"], "--overlap", "1h")
        assert "still counts" not in done.stderr
        assert "The key until now counts until" in done.stderr
        assert status(made["key"]) == status(done.stdout.strip()) == 200
        assert aicflow("keys", "revoke", made["id"]).returncode == 0
        assert status(made["key"]) == status(done.stdout.strip()) == 401
        done = aicflow("keys", "create", "limited", "--workflow", "a", "--label", "team=b", "--from", "10.0.0.0/8")
        assert "limited to a, team=b, 10.0.0.0/8" in done.stderr
        assert "limited to a, team=b, 10.0.0.0/8" in aicflow("keys", "list").stdout
        assert status(done.stdout.strip()) == 403
        done = aicflow("keys", "ticket")
        assert done.stdout.startswith("aict_"), done.stderr
        done = aicflow("keys", "revoke", "none")
        assert (done.returncode, done.stderr) == (2, "error: There is no API key 'none'.\n")
        assert "is ready" in aicflow("doctor").stdout
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_doctor_finds_what_is_wrong(aicflow: Run, tmp_path: Path) -> None:
    assert aicflow("doctor").returncode == 0
    aicflow("keys", "create", "x")
    (tmp_path / "data" / "server.secret").chmod(0o644)
    (tmp_path / "data").chmod(0o755)
    done = aicflow("doctor", env={"AICFLOW_PROT": "8700", "AICFLOW_ENGINE": "steam"})
    assert done.returncode == 1
    assert "server.secret; run: chmod 600" in done.stdout
    assert f"run: chmod 700 {tmp_path / 'data'}" in done.stdout
    assert "Did you mean 'AICFLOW_PORT'?" in done.stdout
    assert "There is no engine 'steam'" in done.stdout
    findings = json.loads(aicflow("doctor", "--output", "json").stdout)["findings"]
    assert {"version", "store", "engine"} <= {finding["subject"] for finding in findings}


def test_the_doctor_looks_where_files_are(aicflow: Run, tmp_path: Path) -> None:
    assert "files: their place is made at the first start" in aicflow("doctor").stdout
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "server.secret").write_text("ab" * 32)
    (tmp_path / "data" / "server.secret").chmod(0o600)
    assert "files: can be written" in aicflow("doctor").stdout
    (tmp_path / "data" / "files" / "owner").write_text("another")
    done = aicflow("doctor")
    assert (done.returncode, "belong to another AIC Flow" in done.stdout) == (1, True)
    assert "a package is missing" in aicflow("doctor", env={"AICFLOW_FILES": "s3://bucket/files"}).stdout


def test_the_doctor_asks_node_types_how_they_are(aicflow: Run) -> None:
    plugins = {"AICFLOW_BLOCKED_PLUGINS": "agent,http,trigger", "AICFLOW_PYTHON_WARM": "1"}
    done = aicflow("doctor", env=plugins)
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if "python.code: " in line)
    assert line.startswith("ok")
    assert "backend process" in line
    assert "seccomp (allow-list)" in line
    assert "settings:" not in done.stdout, "a variable that a node type reads is known"
    done = aicflow("doctor", env={**plugins, "AICFLOW_PYTHON_REQUIRE": "moat"})
    assert done.returncode == 1
    assert "AICFLOW_PYTHON_REQUIRE: 'moat' is not a layer" in done.stdout
    done = aicflow("doctor", env={**plugins, "AICFLOW_PYTHON_WRAM": "2"})
    assert "Did you mean 'AICFLOW_PYTHON_WARM'?" in done.stdout
    done = aicflow("doctor", env={**plugins, "AICFLOW_PYTHON_BACKENDS": "restricted"})
    assert done.returncode == 0
    assert "note    python.code: ready; backend restricted" in done.stdout


FIRST = "{aicflow: 1, name: a, nodes: [{id: x, type: t, params: {v: 1}}, {id: y, type: t}], edges: [{from: x, to: y}]}"


def test_diff_tells_what_changed_between_files(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(FIRST)
    same = {"edges": [{"to": "y", "from": "x"}], "nodes": [{"type": "t", "id": "y"}], "name": "a", "aicflow": 1}
    same["nodes"].append({"id": "x", "type": "t", "params": {"v": 1.0}})  # type: ignore[attr-defined]
    (tmp_path / "same.json").write_text(json.dumps(same))
    (tmp_path / "new.yaml").write_text(FIRST.replace("v: 1", "v: 2").replace("edges: [{from: x, to: y}]", "edges: []"))
    done = aicflow("diff", "old.yaml", "same.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no changes\n", "")
    done = aicflow("diff", "old.yaml", "new.yaml")
    assert (done.returncode, done.stdout) == (1, "~ node x: params.v: 1 -> 2\n- edge x -> y\n")
    same["nodes"][1]["params"]["v"] = 2  # type: ignore[index]
    told = json.loads(aicflow("diff", "old.yaml", "-", "--output", "json", input=json.dumps(same)).stdout)
    assert told["same"] is False
    assert told["changes"][0]["old_pointer"] == "/nodes/0/params/v"
    assert told["changes"][0]["new_pointer"] == "/nodes/1/params/v"


def test_diff_of_what_cannot_be_compared_is_wrong_input(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "ok.yaml").write_text(FIRST)
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "other.yaml").write_text("nodes: [{id: 5}]\n")
    for arguments, words in {
        ("ok.yaml", "none.yaml"): "There is no file none.yaml.",
        ("broken.yaml", "ok.yaml"): "broken.yaml:",
        ("ok.yaml", "other.yaml"): "other.yaml: This is not a workflow document: expected a text at /nodes/0/id.",
        ("-", "-"): "Only one of the two",
        ("ok.yaml",): "requires an argument",
        ("ok.yaml", "--outptu"): "--outptu",
    }.items():
        done = aicflow("diff", *arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr
        assert done.stdout == ""
