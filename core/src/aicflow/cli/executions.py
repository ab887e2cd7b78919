"""`aicflow executions …`: what a server runs and ran."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from aicflow_sdk.resources.executions import SAME
from cyclopts import App, Parameter

from aicflow.cli.files import read_input
from aicflow.cli.progress import Lines, NoProgress, progress
from aicflow.cli.say import (
    EventOutput,
    IdempotencyKey,
    Input,
    Output,
    OutputFormat,
    complain,
    note,
    print_execution_id,
    print_fields,
    print_json,
    print_rows,
)
from aicflow.cli.server import Server
from aicflow.cli.workflows import Labels, labels_of
from aicflow.events import progress_text

executions = App(name="executions", help="Executions on a server: list, show, start, watch, answer, cancel, rerun.")
type Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
type StepStatus = Literal["running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"]
type ItemStatus = Literal["running", "waiting", "succeeded", "failed"]
type Kind = Literal["api", "trigger", "rerun", "workflow", "failure", "item"]
_Id = Annotated[str, Parameter(help="The execution's id")]
_Wait = Annotated[bool, Parameter(help="Show it until it has ended, and print its output", negative="")]
_STEP_COLUMNS = ("node_id", "status", "attempt", "started_at", "finished_at")
_COLUMNS = ("id", "workflow_id", "version", "status", "created_at", "finished_at")


@executions.command(name="list")
def list_command(
    *,
    workflow: Annotated[str | None, Parameter(help="Of this workflow")] = None,
    status: Annotated[list[Status] | None, Parameter(help="With this status; may be repeated", negative="")] = None,
    trigger_kind: Annotated[Kind | None, Parameter(help="Started by this")] = None,
    created_after: Annotated[datetime | None, Parameter(help="Made after this time")] = None,
    created_before: Annotated[datetime | None, Parameter(help="Made before this time")] = None,
    label: Labels = None,
    q: Annotated[str | None, Parameter(name=("-q", "--query"), help="Part of input, output, error or label")] = None,
    limit: Annotated[int, Parameter(help="At most this many")] = 20,
    output: Output = "text",
) -> None:
    """List executions, newest first. Times are ISO 8601, in local time unless they say otherwise."""
    found = Server().api.executions.list(
        workflow_id=workflow,
        status=status,
        trigger_kind=trigger_kind,
        created_after=created_after and created_after.astimezone(),
        created_before=created_before and created_before.astimezone(),
        labels=labels_of(label),
        q=q,
        limit=limit,
    )
    print_rows(list(found), _COLUMNS, output)


@executions.command(name="show")
def show_command(execution: _Id, /, *, output: Output = "text") -> None:
    """Show an execution and its steps."""
    api = Server().api
    found = api.executions.get(execution)
    has_values = "payloads" not in found.get("removed", ())
    if "events" in found.get("removed", ()):
        if output == "json":
            print_json(found)
        else:
            print_fields({**found, "started_by": found["trigger"]["started_by"]}, "text")
            print("\nIts events were removed, and its steps with them.")
        return
    done = api.executions.steps(execution, outputs=output == "json" and has_values)
    if output == "json":
        print_json({**found, "steps": done})
        return
    print_fields({**found, "started_by": found["trigger"]["started_by"]}, "text")
    print()
    print_rows(done, _STEP_COLUMNS, "text")
    for step in done:
        if step.get("progress"):
            print(f"\n{step['node_id']}: {progress_text(step['progress'])}")


@executions.command(name="steps")
def steps_command(
    execution: _Id,
    /,
    *,
    parent: Annotated[
        str | None, Parameter(help="Inside of this map, repeat or group, or of one item: each[17]")
    ] = None,
    status: Annotated[list[StepStatus] | None, Parameter(help="With this status; may be repeated", negative="")] = None,
    failed: Annotated[bool, Parameter(help="The same as --status failed", negative="")] = False,
    output: Output = "text",
) -> None:
    """List the steps of an execution, or those inside of one."""
    wanted = [*(status or ()), *(["failed"] if failed else ())] or None
    found = Server().api.executions.steps(execution, parent=parent, status=wanted, outputs=output == "json")
    if output == "json":
        print_json(found)
        return
    rows = [{**step, "error": (step["error"] or {}).get("message")} for step in found]
    print_rows(rows, (*_STEP_COLUMNS, "error"), "text")


@executions.command(name="items")
def items_command(
    execution: _Id,
    node: Annotated[str, Parameter(help="The map or repeat, such as each")],
    /,
    *,
    status: Annotated[list[ItemStatus] | None, Parameter(help="With this status; may be repeated", negative="")] = None,
    failed: Annotated[bool, Parameter(help="The same as --status failed", negative="")] = False,
    limit: Annotated[int | None, Parameter(help="At most this many; all when not given")] = None,
    output: Output = "text",
) -> None:
    """List the items of a map, or the passes of a repeat."""
    wanted = [*(status or ()), *(["failed"] if failed else ())] or None
    read = Server().api.executions.items
    found = list(read(execution, node, status=wanted, outputs=output == "json", limit=limit))
    if output == "json":
        print_json(found)
        return
    rows = [{**item, "error": (item["error"] or {}).get("message")} for item in found]
    print_rows(rows, ("id", "key", "status", "error"), "text")


@executions.command(name="start")
def start_command(
    workflow: Annotated[str, Parameter(help="The workflow's id")],
    /,
    *,
    input: Input = None,
    version: Annotated[int | None, Parameter(help="The newest when not given")] = None,
    priority: Annotated[int, Parameter(help="Higher is claimed first")] = 0,
    idempotency_key: IdempotencyKey = None,
    wait: _Wait = False,
    output: Output = "text",
) -> int:
    """Start an execution and print its id, or with --wait its output."""
    at = Server()
    execution = at.api.executions.start(
        workflow, read_input(input), version=version, priority=priority, idempotency_key=idempotency_key
    )
    return _started(at, execution, wait, output)


@executions.command(name="rerun")
def rerun_command(
    execution: _Id,
    /,
    *,
    input: Input = None,
    version: Annotated[str, Parameter(help="pinned, latest or a number")] = "pinned",
    from_node: Annotated[str | None, Parameter(help="Reuse what is not downstream of this node")] = None,
    reuse: Annotated[
        Literal["succeeded"] | None, Parameter(help="Where --from-node is a map: reuse its items that succeeded")
    ] = None,
    idempotency_key: IdempotencyKey = None,
    wait: _Wait = False,
    output: Output = "text",
) -> int:
    """Make a new execution from an old one, with its input unless another is given."""
    at = Server()
    again = at.api.executions.rerun(
        execution,
        input=SAME if input is None else read_input(input),
        version=int(version) if version.isdecimal() else version,
        from_node=from_node,
        reuse=reuse,
        idempotency_key=idempotency_key,
    )
    return _started(at, again, wait, output)


@executions.command(name="watch")
def watch_command(
    execution: Annotated[str | None, Parameter(help="Its id; all executions when not given")] = None,
    /,
    *,
    output: EventOutput = "text",
) -> int:
    """Show an execution as it happens until it has ended, then print its output; Ctrl-C only stops watching.

    Leaves with 0 when it succeeded, 1 when it failed or was cancelled.
    """
    at = Server()
    if execution is not None:
        return _watch(at, execution, output, events=True)
    lines = Lines()
    for event in at.events(None):
        if output == "json":
            _print_line(event)
        else:
            lines.event(event)
    return 0


@executions.command(name="logs")
def logs_command(
    execution: _Id,
    /,
    *,
    node: Annotated[str | None, Parameter(help="Only of this node")] = None,
    follow: Annotated[bool, Parameter(help="Go on until it has ended", negative="")] = False,
    output: EventOutput = "text",
) -> None:
    """Print what the steps logged, and their errors."""
    for event in Server().events(execution, follow=follow):
        if node not in (None, event.get("node_id")):
            continue
        data = event.get("data")
        error = data.get("error") if isinstance(data, dict) else None
        if event["type"] != "step.log" and not (event["type"] == "step.failed" and isinstance(error, dict)):
            continue
        if output == "json":
            _print_line(event)
            continue
        said = data if error is None else error
        print(f"{event.get('time', '')} {event['node_id']}: {(said or {}).get('message', '')}", flush=True)


@executions.command(name="cancel")
def cancel_command(execution: _Id, /) -> None:
    """Ask for its end, which comes within two seconds."""
    found = Server().api.executions.cancel(execution)
    note(f"{execution} is {found['status']}" + ("." if found["finished_at"] else "; it is being cancelled."))


@executions.command(name="answer")
def answer_command(
    execution: _Id,
    value: Annotated[str | None, Parameter(help="The answer: JSON, or @FILE")] = None,
    /,
    *,
    node: Annotated[str | None, Parameter(help="The step, when several wait")] = None,
    action: Annotated[
        Literal["answered", "retry", "skip", "fail"], Parameter(help="Settle the step otherwise than by an answer")
    ] = "answered",
    output: Output = "text",
) -> None:
    """Answer a step that waits, so that its execution goes on."""
    found = Server().api.executions.resume(execution, read_input(value), node_id=node, action=action)
    if output == "json":
        print_json(found)
    else:
        note(f"{execution} is {found['status']}.")


@executions.command(name="output")
def output_command(execution: _Id, node: Annotated[str, Parameter(help="The node's id")], /) -> None:
    """Print what a step returned, as JSON."""
    print_json(Server().api.executions.output(execution, node))


@executions.command(name="why")
def why_command(execution: _Id, /, *, output: Output = "text") -> None:
    """Say what it is doing, or why it ended as it did."""
    sentence = Server().api.executions.why(execution)
    if output == "json":
        print_json({"sentence": sentence})
    else:
        print(sentence)


@executions.command(name="statistics")
def statistics_command(
    *,
    workflow: Annotated[str | None, Parameter(help="Of this workflow")] = None,
    since: Annotated[datetime | None, Parameter(help="From this time on; a day before the end when not given")] = None,
    until: Annotated[datetime | None, Parameter(help="Until this time; now when not given")] = None,
    step: Annotated[int | None, Parameter(help="Seconds between two points of the series that JSON output has")] = None,
    output: Output = "text",
) -> None:
    """Say how executions ended: how many, how long they took, by workflow, and the most frequent failures."""
    found: dict[str, Any] = Server().api.executions.statistics(
        workflow_id=workflow,
        since=since and since.astimezone(),
        until=until and until.astimezone(),
        step=step,
    )
    if output == "json":
        print_json(found)
        return
    columns = ("workflow_id", "succeeded", "failed", "cancelled", "p50", "p95")
    print(f"From {found['since']} to {found['until']}; p50 and p95 in seconds")
    print_rows([*found["workflows"], {**found, "workflow_id": "all"}], columns, output)
    if found["failures"]:
        print()
        print_rows(found["failures"], ("count", "workflow_id", "node_id", "code", "last_execution_id"), output)


def _started(at: Server, execution: dict[str, Any], wait: bool, output: OutputFormat) -> int:
    if wait:
        return _watch(at, execution["id"], output)
    print_execution_id(execution, output)
    return 0


def _watch(at: Server, execution_id: str, output: OutputFormat, *, events: bool = False) -> int:
    """Show it until it has ended. As JSON: every event a line, or the execution at its end."""
    execution = at.api.executions.get(execution_id)
    shown: Any = NoProgress()
    if output == "text":
        document = at.api.workflows.version(execution["workflow_id"], execution["version"])["document"]
        how = f"which `aicflow executions answer {execution_id} VALUE` sends"
        shown = progress([node["id"] for node in document["nodes"]], how)
    with shown:
        for event in at.events(execution_id):
            if output == "text":
                shown.event(event)
            elif events:
                _print_line(event)
    execution = at.api.executions.get(execution_id)
    if output == "json":
        if not events:
            print_json(execution)
    elif execution["status"] == "succeeded":
        print_json(execution["output"])
    else:
        error = execution["error"] or {"message": f"The execution was {execution['status']}."}
        place = f"node {error['node_id']!r}: " if error.get("node_id") else ""
        complain(f"{place}{error['message']}", hint=error.get("hint"))
    return 0 if execution["status"] == "succeeded" else 1


def _print_line(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=False), flush=True)
