"""The page about the command line knows every command and every option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aicflow.cli import program

from .conftest import Run

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("command", program._COMMANDS)
def test_every_command_is_described(aicflow: Run, command: str) -> None:
    assert f"## aicflow {command}\n" in PAGE
    section = PAGE.split(f"## aicflow {command}\n")[1].split("\n## ")[0]
    shown = aicflow(command, "--help")
    assert shown.returncode == 0
    verbs = set(re.findall(rf"^aicflow {command} ([a-z]+)", section, re.MULTILINE)) if "COMMAND" in shown.stdout else ()
    texts = [shown.stdout, *(aicflow(command, verb, "--help").stdout for verb in verbs)]
    options = set(re.findall(r"--[a-z][a-z-]+", "".join(texts))) - {"--help", "--version"}
    for option in sorted(option for option in options if not option.startswith("--no-")):
        assert option in section, f"{command} {option} is not described"
