"""Fenced code blocks of a page, and what their info strings say."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its language, its words (`run`, `server`), its `file=` name, and the line it begins at."""

    language: str
    words: frozenset[str]
    file: str | None
    body: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *words = shlex.split(match["info"]) or [""]
        file = next((word.removeprefix("file=") for word in words if word.startswith("file=")), None)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, frozenset(words), file, match["body"], line))
    return found
