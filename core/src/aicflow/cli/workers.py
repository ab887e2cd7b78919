"""`aicflow workers …`: which workers a site has."""

from __future__ import annotations

from cyclopts import App

from aicflow.cli.say import Output, print_rows
from aicflow.cli.server import Server

workers = App(name="workers", help="Workers of a site.")


@workers.command(name="list")
def list_command(*, output: Output = "text") -> None:
    """List the workers that are alive: where they run, what they take and how much they run."""
    found = list(Server().api.workers.list())
    print_rows(found, ("id", "name", "version", "queues", "running", "max_running", "started_at"), output)
