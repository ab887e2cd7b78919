"""How long a command takes from nothing: whole processes, beside one that does nothing."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.lab import Row

_TIMES = 7
_WORKFLOW = {
    "aicflow": 1,
    "name": "start",
    "nodes": [{"id": "a", "type": "logic.if_else", "params": {"condition": "${{ 1 == 1 }}"}}],
}


async def run() -> list[Row]:
    """The processor time of each command, its bytecode compiled before; the commands take turns."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="aicflow-start-") as folder:
        file = Path(folder, "start.json")
        file.write_text(json.dumps(_WORKFLOW))
        commands = {
            "python -c pass": ["-c", "pass"],
            "aicflow version": ["-m", "aicflow.cli", "version"],
            "aicflow --help": ["-m", "aicflow.cli", "--help"],
            "aicflow validate FILE": ["-m", "aicflow.cli", "validate", str(file)],
            "aicflow run FILE": ["-m", "aicflow.cli", "run", str(file)],
        }
        figures: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(_TIMES + 1):
            for name, arguments in commands.items():
                figures[name].append(_processor_time(arguments, folder))
    base, *rest = commands
    nothing = median(figures[base][1:])
    rows = [Row("start", base, nothing * 1000, "ms of CPU")]
    for name in rest:
        took = median(figures[name][1:])  # the first one compiles
        rows.append(Row("start", name, took * 1000, "ms of CPU", base, took / nothing))
    return rows


def _processor_time(arguments: list[str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env={"PYTHONPYCACHEPREFIX": str(Path(folder, "bytecode")), "AICFLOW_DATA_DIR": folder},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
