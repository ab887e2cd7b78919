"""A module of the tests as a plugin that looks installed: a folder on the path with the entry point in its metadata."""

from __future__ import annotations

import os
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]


def plugin_path(folder: Path, name: str, module: str) -> str:
    """Make the metadata in a folder; gives the PYTHONPATH under which a process finds the plugin."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[aicflow]\n{name} = {module}\n")
    return os.pathsep.join((str(folder), str(_REPOSITORY)))
