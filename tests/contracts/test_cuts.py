"""A text that is cut for people ends with a mark, so that masking finds the beginning of a secret there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aicflow import cut
from aicflow.engine.masking import Mask

ROOT = Path(__file__).parents[2]
_BARE = re.compile(r"\{[^{}]*\[:(?:\d{2,}|[A-Z_]+)\](?:![ra])?\}(?!…)")
_IDS = {" for ", "sha256", "name[:56]", "sheet[:25]", "hexdigest"}  # no words for people
SOURCES = [path for folder in ("core", "plugins") for path in sorted((ROOT / folder).glob("**/src/**/*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_messages_are_cut_with_a_mark(path: Path) -> None:
    if {"box", "vetting", "testing", "store"} & set(path.parts):
        return  # the sandbox imports nothing of ours; the others know no secret
    found = [
        one
        for one in (found[0] for found in _BARE.finditer(path.read_text()))
        if not any(known in one for known in _IDS)
    ]
    assert not found, f"{path}: cut with `aicflow.cut`"


@pytest.mark.parametrize("length", [20, 40, 70])
def test_what_is_left_of_a_secret_by_a_cut_is_masked(length: int) -> None:
    secret = "s3cr3t-value/" * 10
    text = cut(f"it was {secret}", length)
    assert len(text) == length
    assert Mask([secret]).text(text) == "it was ***…"
    assert cut("short", 5) == "short"
