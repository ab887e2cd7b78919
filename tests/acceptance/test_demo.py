"""`make demo`'s command runs from an empty folder to its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest


@pytest.mark.slow
def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aicflow.cli", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = ("trigger.webhook: succeeded", "trigger.cron: succeeded", "Where to look next", "127.0.0.1:8700/console/")
    for words in told:
        assert words in done.stdout
    shown = [json.loads("{" + part.split("}\n\n")[0] + "}") for part in done.stdout.split("succeeded\n{")[1:]]
    assert shown[0]["heavy_rain_days"] == 2
    assert shown[1]["summary"] == "No day of 2013 saw heavy rain."
    for step in ("fetch", "measure", "notable", "explain", "calm"):
        assert f"{step} succeeded" in done.stderr
    assert "explain skipped" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_demo_that_is_kept_leaves_the_console_open_on_its_workflow(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "aicflow.cli", "demo", "--keep"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path)
    try:
        assert process.stdout is not None
        link = next(line.split()[1] for line in process.stdout if line.startswith("Console: "))
        page, _, ticket = link.partition("#ticket=")
        assert page.endswith("/console/workflows/weather-watch")
        url = page.partition("/console/")[0]
        with httpx2.Client(base_url=url, headers={"origin": url}) as browser:
            assert "AIC Flow" in browser.get(page).text
            signed_in = browser.post("/api/v1/session", headers={"authorization": f"Bearer {ticket}"})
            assert signed_in.status_code == 201, signed_in.text
            assert browser.get("/api/v1/workflows/weather-watch").json()["enabled"] is True
            assert browser.post("/api/v1/session", headers={"authorization": f"Bearer {ticket}"}).status_code == 401
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
