"""The documentation says what is true: its examples run, its lists are the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aicflow import File
from aicflow.testing import RecordingContext, run_node, run_workflow
from aicflow_python import PythonCode
from aicflow_python.failures import HINTS
from aicflow_python.sandbox import Limits
from aicflow_python.sandbox.box import arch, bpf
from aicflow_python.sandbox.box.preload import MODULES
from aicflow_python.static_checks import check_params

ROOT = Path(__file__).parents[3]
HOW_TO = ROOT / "docs" / "how-to" / "python-node.md"
EXPLANATION = ROOT / "docs" / "explanation" / "sandbox.md"

pytestmark = pytest.mark.skipif(not HOW_TO.exists(), reason="the documentation is not beside an installed package")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def nodes() -> list[dict[str, Any]]:
    """Every Python node of the how-to, whole workflows and single nodes alike."""
    found: list[dict[str, Any]] = []
    for block in blocks(HOW_TO, "yaml"):
        parsed = yaml.safe_load(block)
        found += parsed["nodes"] if isinstance(parsed, dict) else parsed
    return [node for node in found if node["type"] == "python.code"]


def test_the_readme_runs() -> None:
    (program,) = blocks(Path(__file__).parents[1] / "README.md", "python")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{'total': 6}\n", "")


async def test_the_readmes_workflow_gives_what_it_says() -> None:
    (document,) = blocks(Path(__file__).parents[1] / "README.md", "yaml")
    result = await run_workflow(yaml.safe_load(document), {"rows": [1, 2, 3]})
    assert result.output == 6


async def test_the_examples_of_the_how_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICFLOW_PYTHON_ENVIRONMENTS", "science=numpy")
    summary, regression, sums, untrusted = nodes()
    for node in (summary, regression, sums, untrusted):
        assert list(check_params(node["params"])) == []
    monkeypatch.delenv("AICFLOW_PYTHON_ENVIRONMENTS")
    inputs = {"rows": [{"total": 5}, {"total": 50}, {"total": 70}], "threshold": 10}
    assert await run_node(PythonCode, {**summary["params"], "inputs": inputs}) == {"count": 2, "median": 60.0}
    ctx = RecordingContext()
    orders = (await ctx.files.write(b"id,n,price\n7,3,0.5\n", name="orders.csv")).model_dump()
    output = await run_node(PythonCode, {**sums["params"], "inputs": {"orders": orders}}, context=ctx)
    made = File.model_validate(output["sums"])
    assert b"".join([chunk async for chunk in ctx.files.read(made)]) == b"7,1.5\r\n"
    assert await run_node(PythonCode, untrusted["params"]) == 3


def test_every_module_is_listed() -> None:
    table = HOW_TO.read_text().partition("## What may be imported")[2].partition("Local time")[0]
    listed = set(re.findall(r"`([a-z0-9_.A-Z]+)`", table))
    packages = {"collections.abc", "json.decoder", "json.encoder", "urllib", "xml", "xml.etree"}
    assert listed == set(MODULES) - packages


def test_every_limit_is_explained_and_has_a_hint() -> None:
    limits = set(Limits.__dataclass_fields__)
    assert set(HINTS) == limits
    text = EXPLANATION.read_text()
    assert all(f"`{name}`" in text for name in limits)
    assert len(bpf.allow_list(arch.X86_64)) < 30
