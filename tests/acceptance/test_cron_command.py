"""`aicflow cron next` as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aicflow.cli", "cron", "next", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_marks_what_a_clock_change_does() -> None:
    done = run("30 2 * * *", "--timezone", "Europe/Amsterdam", "--after", "2027-03-27T12:00:00Z", "--output", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["kind"] for row in rows][:2] == ["shifted", "fire"]
    assert rows[1]["local"] == "2027-03-28T03:00:00+02:00"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["61 * * * *"], "minute at position 0"),
        (["0 0 30 2 *"], "30"),
        (["@daily", "--timezone", "Europe/Amsterdan"], "Europe/Amsterdan"),
        (["@daily", "--after", "tomorrow"], "RFC 3339"),
        (["@daily", "--after", "2027-01-01T00:00:00"], "time zone"),
    ],
)
def test_wrong_input_is_one_sentence(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
