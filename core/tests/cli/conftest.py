"""Running the command line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from aicflow.cli.program import run_program

PROGRAM = [sys.executable, "-c", "from aicflow.cli import main; main()"]

type Run = Callable[..., Done]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A data folder of the test's own and few plugins."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
    return {
        **kept,
        "AICFLOW_DATA_DIR": str(tmp_path / "data"),
        "AICFLOW_BLOCKED_PLUGINS": "agent,http,python,trigger",
        "AICFLOW_ENGINE": "native",
        "COLUMNS": "120",
    }


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def aicflow(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `aicflow` with these arguments in this process, which saves starting one; wrong input never raises."""

    def run(*arguments: str, env: dict[str, str] | None = None, input: str = "") -> Done:
        with monkeypatch.context() as patch:
            for name in set(os.environ) - set(environment):
                patch.delenv(name)
            for name, value in {**environment, **(env or {})}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = run_program(arguments)
        return Done(code, out.getvalue(), err.getvalue())

    return run
