"""The command line drives a server: one real server for the story, commands as a person types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROGRAM, Done, Run

WORKFLOW = """\
aicflow: 1
name: Ask first
labels: {team: mail, stage: a b}
input_schema: {type: object, properties: {who: {type: string}}, required: [who]}
triggers:
  - {id: hook, type: trigger.webhook, params: {path: ask}, input: "${{ trigger.body }}"}
  - {id: night, type: trigger.cron, params: {schedule: "0 3 * * *"}, input: {who: Night}}
nodes:
  - {id: ask, type: wait, params: {answer_schema: {type: boolean}, message: "May it go out?"}}
output: {to: "${{ input.who }}", sent: "${{ nodes.ask.output.answer }}"}
"""
IN_PYTHON = """\
from aicflow_sdk import Workflow
from parts import NAME

print("building")
wf = same = Workflow(NAME)
wf.if_else(True, "check")
wf.output = {"sum": 3}
"""


@pytest.fixture
def at_server(aicflow: Run, environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """A server on the data folder, which the commands find by themselves."""
    environment["AICFLOW_BLOCKED_PLUGINS"] = "agent,http,python"
    (tmp_path / "ask.yaml").write_text(WORKFLOW, "utf-8")
    (tmp_path / "built.py").write_text(IN_PYTHON, "utf-8")
    (tmp_path / "parts.py").write_text("NAME = 'built'\n", "utf-8")
    server = subprocess.Popen([*PROGRAM, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    yield aicflow
    server.terminate()
    server.communicate(timeout=30)


def well(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_a_file_to_an_answered_execution(at_server: Run, tmp_path: Path) -> None:
    aicflow = at_server

    def data(*arguments: str) -> Any:
        return json.loads(well(aicflow(*arguments, "--output", "json")))

    # deploying creates, updates, or has nothing to do; nothing is saved when one file is wrong
    assert well(aicflow("deploy", "ask.yaml", "built.py")) == (
        "Ask-first: created (version 1)\nbuilt: created (version 1)\n"
    )
    assert well(aicflow("workflows", "deploy", "ask.yaml")) == "Ask-first: unchanged (version 1)\n"
    (tmp_path / "ask.yaml").write_text(WORKFLOW.replace("May it", "Might it"), "utf-8")
    (tmp_path / "wrong.yaml").write_text("aicflow: 1\nname: wrong\nnodes: [{id: a, type: wit}]\n", "utf-8")
    done = aicflow("deploy", "ask.yaml", "wrong.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "wrong.yaml:3:" in done.stderr
    assert well(aicflow("deploy", "ask.yaml")) == "Ask-first: updated (version 2)\n"
    assert "message: 'May it go out?' -> 'Might it go out?'" in aicflow("workflows", "diff", "Ask-first", "1").stdout
    assert "name: Ask first" in well(aicflow("workflows", "export", "Ask-first"))
    assert [one["version"] for one in data("workflows", "versions", "Ask-first")] == [2, 1]

    # start it, see it wait, answer it
    started = well(aicflow("executions", "start", "Ask-first", "--input", '{"who": "Ada"}', "--idempotency-key", "1"))
    execution = started.strip()
    again = aicflow("executions", "start", "Ask-first", "--input", '{"who": "Ada"}', "--idempotency-key", "1")
    assert again.stdout.strip() == execution
    assert "wait" in well(aicflow("executions", "why", execution))
    assert execution in well(
        aicflow("executions", "list", "--workflow", "Ask-first", "--status", "running", "--status", "waiting")
    )
    assert execution in well(aicflow("executions", "list", "--label", "team=mail", "-q", "ada"))
    assert execution not in well(aicflow("executions", "list", "--label", "team=mail", "--query", "bob"))
    assert [one["id"] for one in data("workflows", "list", "--label", "team", "--label", "stage=a b")] == ["Ask-first"]
    assert data("workflows", "list", "--label", "team=sales") == []
    done = aicflow("executions", "answer", execution, '"perhaps"')
    assert (done.returncode, done.stdout) == (2, "")
    well(aicflow("executions", "answer", execution, "true"))
    assert json.loads(well(aicflow("executions", "watch", execution))) == {"to": "Ada", "sent": True}
    events = [
        json.loads(line)
        for line in well(aicflow("executions", "watch", execution, "--output", "json")).split("\n")[:-1]
    ]
    assert events[-1]["type"] == "execution.succeeded"
    (step,) = data("executions", "show", execution)["steps"]
    assert step["node_id"] == "ask"
    assert json.loads(well(aicflow("executions", "output", execution, "ask"))) == step["output"]

    # what has ended is not answered: the state is wrong, not the command
    done = aicflow("executions", "answer", execution, "true")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")

    # rerun and cancel
    other = well(aicflow("executions", "rerun", execution, "--input", '{"who": "Bo"}')).strip()
    well(aicflow("executions", "cancel", other))
    done = aicflow("executions", "watch", other)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cancelled" in done.stderr
    done = aicflow("executions", "start", "built", "--wait")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sum": 3})

    assert data("top", "--once")["queued"] == 0
    (worker,) = data("workers", "list")
    assert worker["queues"] is None
    assert "wait" in worker["types"]
    assert "workers wanted" in well(aicflow("top", "--once"))

    # triggers and deliveries
    assert "Ask-first:hook" in well(aicflow("triggers", "list"))
    assert len(data("triggers", "next", "Ask-first:night", "--count", "2")) == 2
    assert "paused" in aicflow("triggers", "pause", "Ask-first:night").stderr
    assert "active" in aicflow("triggers", "resume", "Ask-first:night").stderr
    well(aicflow("triggers", "fire", "Ask-first:hook", "--payload", '{"body": {"who": "Cy"}}'))
    (delivery,) = data("deliveries", "list", "Ask-first:hook")
    assert "Cy" in well(aicflow("deliveries", "show", "Ask-first:hook", delivery["id"]))
    assert data("deliveries", "replay", "Ask-first:hook", delivery["id"])["id"] != delivery["execution_id"]

    # what the server can run
    assert "wait" in well(aicflow("node-types", "list"))
    well(aicflow("node-types", "disable", "wait"))
    assert data("node-types", "show", "wait")["enabled"] is False
    well(aicflow("node-types", "enable", "wait"))
    assert "Params:" in well(aicflow("node-types", "show", "wait"))

    # switch off, delete
    well(aicflow("workflows", "disable", "Ask-first"))
    assert data("workflows", "show", "Ask-first")["enabled"] is False
    well(aicflow("workflows", "enable", "Ask-first"))
    well(aicflow("workflows", "delete", "Ask-first"))
    done = aicflow("workflows", "show", "Ask-first")
    assert (done.returncode, done.stderr.startswith("error: ")) == (2, True)


def test_without_a_server_one_sentence_says_what_to_do(aicflow: Run) -> None:
    done = aicflow("executions", "list")
    assert done.returncode == 2
    assert "aicflow serve" in done.stderr
    done = aicflow("executions", "list", env={"AICFLOW_URL": "http://127.0.0.1:9", "AICFLOW_API_KEY": "aicf_x"})
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "builds no workflow"),
        ("from aicflow_sdk import Workflow\na, b = Workflow('a'), Workflow('b')\n", "several workflows: a, b"),
        ("x = 1\n\nx.y\n", "file.py:3: AttributeError"),
        ("def (\n", "file.py:1: SyntaxError"),
        ("import sys\nsys.exit('no')\n", "file.py:2: SystemExit: no"),
    ],
)
def test_a_python_file_without_one_workflow_is_wrong_input(
    aicflow: Run, tmp_path: Path, source: str, said: str
) -> None:
    (tmp_path / "file.py").write_text(source, "utf-8")
    done = aicflow("run", "file.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_workflow_built_in_python_runs(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "built.py").write_text(
        "from aicflow_sdk import Workflow\nprint('building')\none = Workflow('one')\ntwo = Workflow('two')\n"
        "two.if_else(True, 'check')\ntwo.output = 2\n",
        "utf-8",
    )
    done = aicflow("run", "built.py:two")
    assert (done.returncode, done.stdout) == (0, "2\n")


def test_the_items_of_a_map(at_server: Run, tmp_path: Path) -> None:
    aicflow = at_server
    node = {"id": "each", "map": {"over": "${{ input }}", "on_item_error": "continue", "nodes": [
        {"id": "ok", "type": "wait", "params": {"answer_schema": {"type": "boolean"}}},
        {"id": "big", "type": "logic.if_else", "params": {"condition": "${{ 10 / item > 3 }}"}},
    ], "output": "${{ nodes.ok.output.answer }}"}}  # fmt: skip
    (tmp_path / "each.json").write_text(json.dumps({"aicflow": 1, "name": "each", "nodes": [node]}), "utf-8")
    well(aicflow("deploy", "each.json"))
    execution = well(aicflow("executions", "start", "each", "--input", "[1, 0]")).strip()
    answer = ("executions", "answer", execution, "true", "--node", "each[0].ok")
    while (done := aicflow(*answer)).returncode:
        assert "wait" in done.stderr
    assert "each[0].ok" in well(aicflow("executions", "steps", execution, "--parent", "each[0]"))
    assert json.loads(well(aicflow("executions", "watch", execution)))["succeeded"] == 1
    (failed,) = json.loads(well(aicflow("executions", "items", execution, "each", "--failed", "--output", "json")))
    assert (failed["id"], failed["error"]["node_id"]) == ("each[1]", "each[1].big")
    assert "Division by zero" in well(aicflow("executions", "steps", execution, "--parent", "each", "--failed"))
    assert "each: 2 of 2 items, 1 failed" in well(aicflow("executions", "show", execution))
    assert "subgraph n0" in well(aicflow("diagram", "each.json"))


def test_a_value_that_is_not_json_is_refused_in_words_of_every_command(at_server: Run, tmp_path: Path) -> None:
    for arguments in (["events", "send", "paid", "--data", "{n: 1}"], ["state", "set", "orders", "k", "{n: 1}"]):
        done = at_server(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: The value is not JSON: ")
        assert "--input" not in done.stderr, "that is an option of other commands"


def test_files_go_up_and_come_down(at_server: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id\n1\n")
    file = json.loads(at_server("files", "put", str(tmp_path / "orders.csv")).stdout)
    assert (file["name"], file["type"], file["size"]) == ("orders.csv", "text/csv", 5)
    sha256 = file["$blob"]
    assert sha256 in at_server("files", "list").stdout
    (tmp_path / "down").mkdir()
    done = at_server("files", "get", sha256, "--to", str(tmp_path / "down"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down" / "orders.csv").read_text() == "id\n1\n"
    assert at_server("files", "delete", sha256).returncode == 0
    gone = at_server("files", "get", sha256)
    assert (gone.returncode, "There is no file" in gone.stderr) == (2, True)
    assert "There is no file nowhere" in at_server("files", "put", "nowhere").stderr
