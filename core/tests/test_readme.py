"""What the README shows works as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_the_workflow_gives_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(block("yaml"))
    command, said = re.findall(r"`aicflow run greet\.yaml --input '(.*?)'` prints\s+`(.*?)`", README)[0]
    program = [sys.executable, "-m", "aicflow.cli", "run", "greet.yaml", "--input", command]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr


def test_the_node_runs() -> None:
    subprocess.run([sys.executable, "-c", block("python")], check=True, timeout=60)
