"""`aicflow run`: an execution here and now."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

from .conftest import PROGRAM, Run

FLOW = """\
aicflow: 1
name: flow
input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
nodes:
  - id: big
    type: logic.if_else
    params: {condition: "${{ input.n > 10 }}"}
  - id: pause
    type: wait
    params: {seconds: 0}
edges:
  - {from: big, port: "true", to: pause}
output: {paused: "${{ nodes.pause?.output.answered ?? 'no' }}"}
"""
LONG = """\
aicflow: 1
name: long
nodes: [{id: pause, type: wait, params: {seconds: 100, answer_schema: true, message: May it?}}]
"""

MANY = """\
aicflow: 1
name: many
input_schema: {type: array, items: {type: integer}}
nodes:
  - id: each
    map:
      over: "${{ input }}"
      on_item_error: continue
      nodes: [{id: d, type: logic.if_else, params: {condition: "${{ 10 // item > 2 }}"}}]
output: "${{ nodes.each.output.succeeded }}"
"""


def test_the_output_goes_to_standard_output_and_progress_beside_it(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    done = aicflow("run", "flow.yaml", "--input", '{"n": 11}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {"paused": False})
    assert "big succeeded" in done.stderr
    (tmp_path / "input.yaml").write_text("n: 3\n")
    done = aicflow("run", "flow.yaml", "--input", "@input.yaml", "--output", "json")
    execution = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (execution["status"], execution["output"]) == ("succeeded", {"paused": "no"})
    assert {step["node_id"]: step["status"] for step in execution["steps"]} == {"big": "succeeded", "pause": "skipped"}
    assert not (tmp_path / "data").exists(), "nothing is kept unless it is asked for"


def test_a_failure_names_the_node_and_leaves_with_1(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW.replace("input.n > 10", "input.m > 10").replace("input_schema", "#"))
    done = aicflow("run", "flow.yaml", "--input", '{"n": 1}')
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: node 'big'" in done.stderr


def test_wrong_input_leaves_with_2_before_anything_runs(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "bad.yaml").write_text(FLOW.replace("logic.if_else", "logic.if_els"))
    for arguments, expected in (
        (["flow.yaml", "--input", '{"n": "x"}'], "input/n"),
        (["flow.yaml", "--input", "{n: 1}"], "not JSON"),
        (["flow.yaml", "--input", "@none.json"], "There is no file none.json"),
        (["flow.yaml", "--engine", "steam"], "There is no engine 'steam'"),
        (["flow.yaml", "--store", "mongo://x"], "There is no store"),
        (["bad.yaml"], "bad.yaml:6:11: node.unknown-type"),
        (["none.yaml"], "There is no file none.yaml"),
        ([], "error: "),
    ):
        done = aicflow("run", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert done.stderr.startswith("error: ")
        assert expected in done.stderr
        assert done.stdout == ""


def test_kept_executions_can_be_looked_at_later(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    for _ in range(2):
        assert aicflow("run", "flow.yaml", "--input", '{"n": 1}', "--keep").returncode == 0
    import asyncio

    from aicflow.kernel.ports.executions import ExecutionFilter
    from aicflow.store.sqlite import SQLiteStore

    async def look() -> tuple[int, bool, int]:
        store = SQLiteStore(f"sqlite:///{tmp_path / 'data' / 'runs.db'}")
        await store.open()
        try:
            page = await store.executions.list(ExecutionFilter(), limit=10)
            workflow = await store.workflows.get("run-flow")
            return len(page.items), workflow.enabled, workflow.version
        finally:
            await store.close()

    assert asyncio.run(look()) == (2, False, 1)


def test_ctrl_c_cancels_the_execution(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    process = subprocess.Popen(
        [*PROGRAM, "run", "long.yaml"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting" in line:
            assert line.endswith("pause waiting: for an answer, which only a server takes (Ctrl-C cancels): May it?\n")
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest
    assert "cancelled" in rest
    assert "Traceback" not in rest


def test_a_terminal_shows_the_steps_as_a_table(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "run", "flow.yaml", "--input", '{"n": 50}'],
        env={**environment, "TERM": "xterm"}, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert process.returncode == 0
    assert json.loads(out) == {"paused": False}
    text = shown.decode()
    for word in ("step", "big", "pause", "succeeded"):
        assert word in text


def test_many_items_take_few_lines(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(MANY)
    done = aicflow("run", "many.yaml", "--input", json.dumps([number % 10 for number in range(400)]))
    assert (done.returncode, json.loads(done.stdout)) == (0, 360)
    lines = done.stderr.splitlines()
    assert sum("each[" in line for line in lines) == 5, "the first failures"
    assert any(line.endswith("each: 400 of 400 items, 40 failed") for line in lines)
    assert len(lines) < 30


FILES = """\
aicflow: 1
name: files
nodes: [{id: any, type: logic.if_else, params: {condition: "${{ input.orders.size > 3 }}"}}]
output: {size: "${{ input.orders.size }}", copy: "${{ input.orders }}"}
"""


def test_files_are_attached_and_saved(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "files.yaml").write_text(FILES)
    (tmp_path / "orders.csv").write_text("id\n1\n")
    attached = f"orders={tmp_path / 'orders.csv'}"
    done = aicflow("run", str(tmp_path / "files.yaml"), "--attach", attached, "--save", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == 5
    assert (tmp_path / "out" / "orders.csv").read_text() == "id\n1\n"
    assert aicflow("run", str(tmp_path / "files.yaml"), "--attach", "orders=none.csv").returncode == 2
    assert aicflow("run", str(tmp_path / "files.yaml"), "--attach", "orders").returncode == 2
