"""Searching files for texts, in a process of its own: to open and close a file that SQLite has open in this one would
drop its locks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

SHORTEST: Final = 6
"""Shorter texts are in every file by chance."""

_PROGRAM: Final = """
import json, sys
asked = json.load(sys.stdin)
needles = [needle.encode().lower() for needle in asked["needles"]]
keep = max(map(len, needles)) - 1
for path in asked["paths"]:
    try:
        with open(path, "rb") as file:
            tail = b""
            while chunk := file.read(1 << 20):
                text = (tail + chunk).lower()
                if any(needle in text for needle in needles):
                    print(json.dumps(path))
                    break
                tail = text[-keep:] if keep else b""
    except OSError:
        continue
"""


def files_with(paths: Iterable[Path], texts: Sequence[str]) -> list[Path]:
    """Those of the files that hold one of the texts, in any case of ASCII letters, as UTF-8 or escaped as in JSON.
    Blocks."""
    needles = {form for text in texts if len(text) >= SHORTEST for form in (text, json.dumps(text)[1:-1])}
    asked = {"paths": [str(path) for path in paths], "needles": sorted(needles)}
    if not needles or not asked["paths"]:
        return []
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PROGRAM],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=3600,
    )
    return [Path(json.loads(line)) for line in done.stdout.splitlines()]
