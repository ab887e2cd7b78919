"""`aicflow validate`: what is wrong, and where in the file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .conftest import Run

GOOD = """\
aicflow: 1
name: good
nodes:
  - id: pause
    type: wait
    params: {seconds: 0}
"""
BAD = """\
aicflow: 1
name: bad
nodes:
  - id: pause
    type: wait
    params:
      secnds: 1
  - id: next
    type: wiat
edges:
  - {from: pause, to: next}
  - {from: next, to: pause}
"""


def test_problems_are_told_with_line_and_column(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "good.yaml").write_text(GOOD)
    done = aicflow("validate", "bad.yaml", "good.yaml")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("bad.yaml:7:15: error param.unknown:") for line in lines), done.stdout
    assert any(line.startswith("bad.yaml:9:11: error node.unknown-type:") for line in lines)
    assert "    Did you mean 'wait'?" in lines
    assert any("graph.cycle" in line and "pause → next → pause" in line for line in lines)
    assert "good.yaml: valid" in lines

    as_json = tmp_path / "bad.json"
    import yaml

    as_json.write_text(json.dumps(yaml.safe_load(BAD), indent=1))
    done = aicflow("validate", "bad.json", "--output", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["valid"]) == (1, False)
    wrong = next(issue for issue in report["files"][0]["issues"] if issue["code"] == "node.unknown-type")
    assert as_json.read_text().split("\n")[wrong["line"] - 1][wrong["column"] - 1 :].startswith('"wiat"')


def test_leaving_codes(aicflow: Run, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    assert aicflow("validate", "good.yaml").returncode == 0
    assert aicflow("validate", "-", input=GOOD).returncode == 0
    for content in ("a: [1", '{"a": 1, "a": 2}', "\x00", "a: !!python/name:os.system"):
        (tmp_path / "broken").write_text(content)
        done = aicflow("validate", "broken", "good.yaml")
        assert done.returncode == 2, done.stdout
        assert re.match(r"broken:[12]:\d+: error doc\.", done.stdout)
        assert "good.yaml: valid" in done.stdout
    for arguments in (["validate"], ["validate", "none.yaml"], ["validate", "."], ["validate", "good.yaml", "--bogus"]):
        done = aicflow(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stdout == ""


def test_it_is_light(environment: dict[str, str], tmp_path: Path) -> None:
    """Validating imports neither the web framework nor the engines' libraries."""
    import subprocess
    import sys

    (tmp_path / "good.yaml").write_text(GOOD)
    script = (
        "import sys; from aicflow.cli.program import run_program; code = run_program(['validate', 'good.yaml']);"
        "print(code, sorted({'fastapi', 'starlette', 'uvicorn', 'langgraph', 'langchain', 'aiosqlite', 'websockets',"
        "'pydantic_settings'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
