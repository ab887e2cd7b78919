"""`make demo`'s command runs from an empty folder to its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aicflow.cli", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("trigger.webhook: succeeded", "trigger.cron: succeeded", "Where to look next"):
        assert words in done.stdout
    shown = [json.loads("{" + part.split("}\n\n")[0] + "}") for part in done.stdout.split("succeeded\n{")[1:]]
    assert shown[0]["heavy_rain_days"] == 2
    assert shown[1]["summary"] == "No day of 2013 saw heavy rain."
    for step in ("fetch", "measure", "notable", "explain", "calm"):
        assert f"{step} succeeded" in done.stderr
    assert "explain skipped" in done.stderr
    assert list(tmp_path.iterdir()) == []
