"""The committed pages are what the sources build. Only where npm is there; nothing else needs Node.js."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[1] / "web"
STATIC = Path(__file__).parents[1] / "src" / "aicflow_console" / "static"
LANGUAGES = ("de", "nl")
GENERATED = ("src/api/schema.d.ts", *(f"src/locales/{name}.json" for name in ("en", *LANGUAGES)))
pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js and npm")


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "CI": "1"})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_rebuild_is_byte_identical(tmp_path: Path) -> None:
    """The API's types, the catalogue and the bundle; what differs is stale: run `make console` and commit."""
    if not (WEB / "node_modules" / ".package-lock.json").is_file():
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=WEB)
    copy = tmp_path / "plugins" / "aicflow-console" / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(WEB / "node_modules")
    shutil.copytree(WEB.parents[2] / "docs" / "openapi", tmp_path / "docs" / "openapi")
    run("npm", "run", "build", cwd=copy)
    for name in GENERATED:
        assert (copy / name).read_text("utf-8") == (WEB / name).read_text("utf-8"), f"{name} is stale: run make console"
    assert files(copy.parent / "src" / "aicflow_console" / "static") == files(STATIC), "stale: run make console"


@pytest.mark.slow
def test_the_tests_of_what_is_logic_pass() -> None:
    if not (WEB / "node_modules").is_dir():
        pytest.skip("npm ci was not run")
    run("npx", "vitest", "run", cwd=WEB)


def test_every_message_has_an_id_of_the_catalogue() -> None:
    catalogue = json.loads((WEB / "src" / "locales" / "en.json").read_text("utf-8"))
    assert len(catalogue) > 50
    assert all(text.strip() for text in catalogue.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    """`npm run extract` writes new texts into the catalogue of each language with an empty translation."""
    folder = WEB / "src" / "locales"
    english, other = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("en", language))
    missing = {id: text for id, text in english.items() if not other.get(id)}
    assert not missing, f"write these into src/locales/{language}.json, then npm run build"
    assert other.keys() == english.keys()
    for id, text in english.items():
        ours, theirs = (sorted(re.findall(r"</?\d+/?>|\{\w+(?=[,}])", one)) for one in (text, other[id]))
        assert ours == theirs, f"{language}: {text!r} and {other[id]!r} have other placeholders"
