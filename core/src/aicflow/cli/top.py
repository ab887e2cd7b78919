"""`aicflow top`: what a site is doing now, on all its servers and workers."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

from cyclopts import Parameter

from aicflow.cli.say import Output, print_json, print_rows
from aicflow.cli.server import Server

_SHOWN = 20
_CLEAR = "\033[H\033[J"


def top_command(
    *,
    every: Annotated[float, Parameter(help="Seconds between two looks")] = 2.0,
    once: Annotated[bool, Parameter(help="Look once", negative="")] = False,
    output: Output = "text",
) -> None:
    """Show what waits to be run, for how long, what is running, and the newest running executions, again and again."""
    api = Server().api
    while True:
        figures: dict[str, Any] = api.executions.scaling()
        running = list(api.executions.list(status="running", limit=_SHOWN))
        if output == "json":
            print_json({**figures, "executions": running})
        else:
            print(_CLEAR if sys.stdout.isatty() and not once else "", end="")
            print(
                f"{figures['queued']} queued, the first for {figures['queue_seconds']:.1f} s;"
                f" {figures['running']} running;"
                f" {figures['wanted_workers']} workers wanted, of {figures['max_running']} executions each"
            )
            if len(figures["queues"]) > 1:
                print_rows(figures["queues"], ("queue", "queued", "queue_seconds", "running", "wanted_workers"), output)
            print_rows(running, ("id", "workflow_id", "started_at"), output)
        sys.stdout.flush()
        if once:
            return
        time.sleep(max(0.1, every))
