"""What the pages show is what happens: their files are written, their commands and programs are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks_of
from tests.support.server import Server

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *sorted((ROOT / "docs" / "explanation").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_does_what_it_says(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["AICFLOW_DATA_DIR"] = str(tmp_path / "data")
    blocks = blocks_of(page)
    twice = any("server" in block.words for block in blocks)  # a page that saves something can be followed again
    for block in [*blocks, *blocks] if twice else blocks:
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
        if "server" in block.words:
            server: Server = request.getfixturevalue("server")
            environment |= server.environment
        if "run" in block.words:
            run(block, page, tmp_path, environment)


def run(block: Block, page: Path, folder: Path, environment: dict[str, str]) -> None:
    command = {"sh": ["sh", "-eu"], "bash": ["bash", "-eu"], "python": [sys.executable, "-"]}[block.language]
    result = subprocess.run(
        command, input=block.body, text=True, capture_output=True, cwd=folder, env=environment, timeout=120, check=False
    )
    said = f"{page.name}:{block.line}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    wanted = 1 if "fails" in block.words else 0
    assert result.returncode == wanted, said


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs" / "reference").glob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    import re

    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:", "#")):
            continue
        path = (page.parent / target.partition("#")[0]).resolve()
        assert path.exists(), f"{page.name} links to {target}, which is not there"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        relative = page.relative_to(ROOT / "docs").as_posix()
        assert relative == "index.md" or f"({relative})" in index, f"docs/index.md does not list {relative}"
