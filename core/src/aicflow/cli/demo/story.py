"""What the demo does, in order: save a workflow, fire it by webhook and by cron, watch it, show the result."""

from __future__ import annotations

import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from aicflow.cli.demo.servers import aicflow_server, data_server, model_environment
from aicflow.cli.progress import progress
from aicflow.cli.say import console, print_json
from aicflow.cli.server import Server
from aicflow.host.serve import console_link
from aicflow.kernel.errors import AICFlowError

_WORKFLOW = "weather-watch"
_CRON = {
    "id": "tick",
    "type": "trigger.cron",
    "params": {"schedule": "* * * * * *", "overlap": "skip"},
    "input": {"year": 2013},
}
_CONSOLE = "\n                                              and its console at http://127.0.0.1:8700/console/"
_PATIENCE = 60.0


def demo_command(*, keep: bool = False) -> int:
    """Run the main job: a real server, real data, an agent, a webhook and a schedule.

    Args:
        keep: Leave the server running until Ctrl-C, to look around.
    """
    say = console()
    here = Path(str(files(__package__)))
    with (
        tempfile.TemporaryDirectory(prefix="aicflow-demo-") as scratch,
        data_server(here) as data,
        model_environment() as (model, model_name),
    ):
        say.print("Starting a server with an empty data folder …")
        environment = {**model, "AICFLOW_HTTP_ALLOW_HOSTS": data.removeprefix("http://")}
        with aicflow_server(Path(scratch), environment) as remote:
            say.print(f"It listens on {remote.url}. Agents ask the model [bold]{model_name}[/].\n")
            ended = _story(remote, f"{data}/seattle-weather.csv")
            if keep and ended == 0:
                _stay(remote, Path(scratch))
    return ended


def _story(remote: Server, data_url: str) -> int:
    say = console()
    document = yaml.safe_load(files(__package__).joinpath("weather.yaml").read_text(encoding="utf-8"))
    document["vars"]["data_url"] = data_url
    remote.deploy(document, _WORKFLOW)
    nodes = [node["id"] for node in document["nodes"]]

    say.print(f"[bold]1.[/] The workflow is saved; its URL is live. POST {remote.url}/hooks/weather")
    accepted = remote.post("hooks", "weather", body={"year": 2015}, api=False)
    first = _follow(remote, accepted["execution_id"], nodes)

    say.print("\n[bold]2.[/] Version 2 adds a schedule; it fires by itself.")
    document["triggers"].append(_CRON)
    remote.deploy(document, _WORKFLOW)
    second = _follow(remote, _first_fire(remote), nodes)

    ok = True
    for execution in (first, second):
        ok = ok and execution["status"] == "succeeded"
        shown = execution["output"] if execution["status"] == "succeeded" else execution["error"]
        say.print(f"\n[bold]{execution['trigger']['type_id']}[/]: {execution['status']}")
        print_json(shown)
    has_console = "console" in remote.about()
    say.print(
        "\nWhere to look next:\n"
        "  README.md                                   a workflow and a node in ten lines each\n"
        "  core/src/aicflow/cli/demo/weather.yaml      the workflow you just saw\n"
        "  .venv/bin/aicflow run FILE                  run a workflow file without a server\n"
        "  .venv/bin/aicflow serve                     the server, with its API documentation under /docs"
        f"{_CONSOLE if has_console else ''}\n"
        "  make demo ARGS=--keep                       this demo, left open to look around",
        highlight=False,
        soft_wrap=True,
    )
    return 0 if ok else 1


def _first_fire(remote: Server) -> str:
    """Wait for the schedule's first execution, then pause the schedule: one is enough."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = remote.api.executions.list(workflow_id=_WORKFLOW, trigger_kind="trigger", limit=50)
        fired = [one for one in found if one["trigger"]["trigger_id"] == _CRON["id"]]
        if fired:
            remote.api.triggers.pause(f"{_WORKFLOW}:{_CRON['id']}")
            return str(fired[-1]["id"])
        time.sleep(0.1)
    raise AICFlowError("The schedule did not fire within a minute.")


def _follow(remote: Server, execution_id: str, nodes: list[str]) -> dict[str, Any]:
    """Show an execution's events as they come over the WebSocket; returns the execution when it has ended."""
    with progress(nodes) as table:
        for event in remote.events(execution_id):
            table.event(event)
    execution: dict[str, Any] = remote.api.executions.get(execution_id)
    return execution


def _stay(remote: Server, folder: Path) -> None:
    say = console()
    say.print(f"\nThe server goes on at {remote.url} (API key {remote.key}). Ctrl-C ends it.", highlight=False)
    if "console" in remote.about():
        link = console_link(remote.url, remote.api.ticket(use="session")["ticket"], f"workflows/{_WORKFLOW}")
        say.print(f"Console: {link}", highlight=False, soft_wrap=True)
        say.print(
            "The link signs one browser in, once, within 10 minutes. Another one:\n"
            f"  .venv/bin/aicflow open --data-dir {folder}",
            highlight=False,
            soft_wrap=True,
        )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say.print("Stopped.")
