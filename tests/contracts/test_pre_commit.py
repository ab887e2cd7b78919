"""The hook for pre-commit is one that pre-commit takes, and does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
GOOD = "{aicflow: 1, name: a, nodes: [{id: w, type: wait, params: {seconds: 1}}]}"


def test_it_has_what_pre_commit_asks_for() -> None:
    assert HOOK["id"] == "aicflow-validate"
    assert {"name", "entry", "language"} <= HOOK.keys()
    assert HOOK["language"] == "system", "an environment of its own would not have the plugins of the project"


def test_its_files_are_workflows() -> None:
    pattern = re.compile(HOOK["files"])
    assert all(pattern.search(name) for name in ("workflows/a.yaml", "app/workflows/b/c.json", "workflows/d.yml"))
    assert not any(pattern.search(name) for name in (".github/workflow/ci.yml", "myworkflows/a.yaml", "workflows/a.py"))


def test_its_entry_stops_a_commit_with_errors_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("wait", "wiat"))
    program, *arguments = HOOK["entry"].split()
    command = [str(Path(sys.executable).parent / program), *arguments]
    for files, code in ((["good.yaml"], 0), (["good.yaml", "bad.yaml"], 1)):
        done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
