"""`aicflow diff` and `aicflow diagram`: workflow files side by side, and as a picture."""

from __future__ import annotations

from typing import Any

from aicflow.cli.say import File, Output


def diff_command(
    old: File,
    new: File,
    /,
    *,
    output: Output = "text",
) -> int:
    """Show what changed in meaning between two workflow files: nodes, params, edges, triggers, vars and settings.

    The order of nodes and edges, defaults written out and the spelling of expressions do not count. Leaves with 0 when
    nothing changed, 1 when something did, 2 when a file cannot be read.
    """
    from aicflow.cli.files import no_options
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.cli.say import print_json
    from aicflow.kernel.errors import AICFlowError
    from aicflow.language.diff import diff

    no_options(old, new)
    if old == new == "-":
        raise AICFlowError("Only one of the two can be standard input.")
    before, after = _document(old), _document(new)
    found = diff(before, after, quiet_plugins().registry)
    if output == "json":
        print_json({"same": not found, **found.to_dict()})
    else:
        print(found)
    return 1 if found else 0


def _document(name: str) -> Any:
    """The document in a file, taken apart once for its shape. Raises AICFlowError that names the file."""
    from aicflow.cli.files import Unreadable, read_file
    from aicflow.kernel.errors import AICFlowError
    from aicflow.language.diff import check_shape

    try:
        document = read_file(name).value
        check_shape(document)
    except Unreadable as error:
        raise AICFlowError(error.sentence()) from None
    except AICFlowError as error:
        prefix = "" if name in error.message else f"{name}: "
        raise AICFlowError(f"{prefix}{error.message}", hint=error.hint) from None
    return document


def diagram_command(file: File, /) -> None:
    """Print a workflow file as a Mermaid flowchart, with the bodies of maps, repeats and groups as boxes.

    Many programs that show Markdown draw it inside a code block that is marked `mermaid`.
    """
    from aicflow_sdk import BuildError, Workflow

    from aicflow.cli.files import read_workflow
    from aicflow.kernel.errors import AICFlowError

    try:
        print(Workflow.from_dict(read_workflow(file).value).diagram(), end="")
    except BuildError as error:
        raise AICFlowError(f"{file}: {error.message}", hint=error.hint) from None
