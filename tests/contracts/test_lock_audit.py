"""`make audit` takes silence for no answer: an index that knows nothing has not said that all is well."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

JUDGE = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "audit.py"))["judge"]
CLEAN = {"name": "a", "version": "1", "vulns": []}
HURT = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


@pytest.mark.parametrize(
    ("found", "known", "missing"),
    [
        ([CLEAN], [], ""),
        ([CLEAN, HURT], ["b 2: CVE-1, mended in 2.1"], ""),
        ([CLEAN, UNKNOWN], [], "c, which the index does not know"),
        ([HURT, UNKNOWN], ["b 2: CVE-1, mended in 2.1"], "c, which"),
        ([UNKNOWN], [], "knows none of the packages"),
        ([], [], "knows none of the packages"),
        (None, [], "no index of them answered"),
    ],
)
def test_silence_is_no_answer(found: Any, known: list[str], missing: str) -> None:
    told, unanswered = JUDGE("" if found is None else json.dumps({"dependencies": found, "fixes": []}))
    assert told == known
    assert missing in unanswered
    assert bool(missing) is unanswered.startswith("NOT AUDITED")
