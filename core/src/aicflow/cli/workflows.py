"""`aicflow workflows …` and `aicflow deploy`: the workflows that a server keeps."""

from __future__ import annotations

from typing import Annotated

from aicflow_sdk.build.yaml_text import to_yaml
from cyclopts import App, Parameter

from aicflow.cli.files import list_errors, read_workflow
from aicflow.cli.say import File, Output, OutputFormat, note, print_fields, print_json, print_rows
from aicflow.cli.server import Server
from aicflow.kernel.errors import AICFlowError

workflows = App(name="workflows", help="Workflows on a server: list, show, deploy, enable, disable, delete, compare.")
_Id = Annotated[str, Parameter(help="The workflow's id")]
Labels = Annotated[
    list[str] | None,
    Parameter(help="With this label: team=billing, or team with any value; may be repeated", negative=""),
]
_COLUMNS = ("id", "name", "version", "enabled", "updated_at")


def labels_of(given: list[str] | None) -> dict[str, str | None]:
    """`team=billing` and `urgent` as names and values."""
    parts = [one.partition("=") for one in given or ()]
    return {name: value if equals else None for name, equals, value in parts}


@workflows.command(name="list")
def list_command(
    *,
    name: Annotated[str | None, Parameter(help="A part of the name")] = None,
    enabled: Annotated[bool | None, Parameter(help="Only those that are on, or off")] = None,
    label: Labels = None,
    limit: Annotated[int | None, Parameter(help="At most this many; all when not given")] = None,
    output: Output = "text",
) -> None:
    """List workflows, newest first."""
    found = Server().api.workflows.list(name=name, enabled=enabled, labels=labels_of(label), limit=limit)
    print_rows(list(found), _COLUMNS, output)


@workflows.command(name="show")
def show_command(workflow: _Id, /, *, output: Output = "text") -> None:
    """Show a workflow; `aicflow workflows export` prints its document."""
    print_fields(Server().api.workflows.get(workflow), output, without=("document", "issues"))


def deploy_command(
    *files: File,
    id: Annotated[str | None, Parameter(help="The id; it follows from the workflow's name when not given")] = None,
    output: Output = "text",
) -> None:
    """Create workflows on the server, or update those that exist, and say which: created, updated or unchanged.

    The files are read first and all checked by the server; when one is not valid, none is saved.
    """
    if not files:
        raise AICFlowError("No file is given.", hint="Say which: aicflow deploy workflow.yaml")
    if id is not None and len(files) > 1:
        raise AICFlowError("--id goes with one file.", hint="Without it the id follows from each workflow's name.")
    documents = {name: read_workflow(name) for name in files}
    at = Server()
    for name, document in documents.items():
        list_errors(name, document, at.validate(document.value).issues)
    done = [at.deploy(document.value, id) for document in documents.values()]
    if output == "json":
        print_json(done)
        return
    for one in done:
        print(f"{one['id']}: {one['outcome']} (version {one['version']})")
        for issue in one["issues"]:
            if issue["code"].startswith("call.") or issue["code"] == "ref.unknown-workflow":
                note(f"  warning {issue['code']}: {issue['message']}")


workflows.command(deploy_command, name="deploy")


@workflows.command(name="enable")
def enable_command(workflow: _Id, /) -> None:
    """Let a workflow start executions."""
    Server().api.workflows.enable(workflow)
    note(f"{workflow} is enabled.")


@workflows.command(name="disable")
def disable_command(workflow: _Id, /) -> None:
    """Let a workflow start nothing any more; executions under way go on."""
    Server().api.workflows.disable(workflow)
    note(f"{workflow} is disabled.")


@workflows.command(name="delete")
def delete_command(workflow: _Id, /) -> None:
    """Delete a workflow; its executions stay."""
    Server().api.workflows.delete(workflow)
    note(f"{workflow} is deleted.")


@workflows.command(name="export")
def export_command(
    workflow: _Id,
    /,
    *,
    version: Annotated[int | None, Parameter(help="An older version")] = None,
    output: Annotated[OutputFormat, Parameter(help="text is YAML")] = "text",
) -> None:
    """Print a workflow's document as YAML or JSON, ready for `aicflow deploy`."""
    saved = Server().api.workflows
    document = (saved.get(workflow) if version is None else saved.version(workflow, version))["document"]
    if output == "json":
        print_json(document)
    else:
        print(to_yaml(document), end="")


@workflows.command(name="callers")
def callers_command(workflow: _Id, /, *, output: Output = "text") -> None:
    """List the enabled workflows that name a workflow: to call it, or to be started when it ends."""
    print_rows(Server().api.workflows.callers(workflow)["callers"], ("workflow_id", "name", "kind", "pointer"), output)


@workflows.command(name="versions")
def versions_command(workflow: _Id, /, *, output: Output = "text") -> None:
    """List a workflow's versions, newest first."""
    print_rows(list(Server().api.workflows.versions(workflow)), ("version", "created_at"), output)


@workflows.command(name="diff")
def diff_command(
    workflow: _Id,
    old: Annotated[int, Parameter(help="A version")],
    new: Annotated[int | None, Parameter(help="Another; the newest when not given")] = None,
    /,
    *,
    output: Output = "text",
) -> int:
    """Show what changed in meaning between two versions; leaves with 1 when something did."""
    found = Server().diff(workflow, old, new)
    if output == "json":
        print_json({"same": not found, **found.to_dict()})
    else:
        print(found)
    return 1 if found else 0
