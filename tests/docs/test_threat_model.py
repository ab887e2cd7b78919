"""The threat model speaks of every risk, says what protects, what shows it and what is left; its tests are there."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/explanation/threat-model.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w./-]+\.py::\w+)`")


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table."""
    section = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


RISKS = rows("OWASP API") + rows("OWASP Top 10")


def test_no_risk_is_left_out() -> None:
    told = " ".join(row[0] for row in RISKS)
    for number in range(1, 11):
        assert re.search(rf"\bAPI{number} ", told)
        for year in (2021, 2025):
            assert told.count(f"A{number:02}:{year}") == 1


@pytest.mark.parametrize("row", RISKS, ids=lambda row: row[0].partition(" ")[0])
def test_each_says_what_protects_what_shows_it_and_what_is_left(row: list[str]) -> None:
    assert len(row) == 4
    _, protects, shown, left = row
    assert protects
    assert NAMED.findall(shown)
    assert NAMED.sub("", shown).strip(", ") == "", "the third column names tests and nothing else"
    assert left


def test_every_test_that_it_names_is_there() -> None:
    named = sorted(set(NAMED.findall(PAGE)))
    assert len(named) > 50
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *named]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
