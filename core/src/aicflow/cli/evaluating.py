"""`aicflow eval`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from aicflow.cli.say import Input, Output

_ROOTS = ("input", "trigger", "nodes", "vars", "execution")


def eval_command(
    expression: Annotated[str, Parameter(help="Such as 'input.n + 1', or a text with ${{ … }} in it")],
    /,
    *,
    input: Input = None,
    scope: Annotated[str | None, Parameter(help="All names as one object: JSON, or @FILE")] = None,
    file: Annotated[str | None, Parameter(help="Take vars from this workflow, JSON or YAML")] = None,
    execution: Annotated[str | None, Parameter(help="Id of an execution on the running server")] = None,
    node: Annotated[str | None, Parameter(help="As this node would see it")] = None,
    output: Output = "text",
) -> int:
    """Evaluate an expression and print its value.

    Without --execution it is evaluated here, against what is given. Leaves with 0 when there is a value, 1 when the
    expression fails, 2 when something given is wrong.
    """
    from aicflow.cli.files import read_input
    from aicflow.cli.say import complain, print_json
    from aicflow.kernel.errors import AICFlowError

    given: dict[str, Any] = {}
    if scope is not None:
        given = read_input(scope)
        if not isinstance(given, dict) or not given.keys() <= set(_ROOTS):
            raise AICFlowError(f"The scope is an object with the keys {', '.join(_ROOTS)}.")
    if input is not None:
        given = {**given, "input": read_input(input)}
    if execution is not None:
        if file is not None:
            raise AICFlowError("Give --file or --execution, not both.", hint="An execution has its own vars.")
        found = _on_server(expression, execution, node, given)
    else:
        found = _here(expression, file, node, given)
    if output == "json":
        print_json(found)
    elif found["ok"]:
        print_json(found["value"])
    else:
        error = found["error"]
        start, end = error["span"]
        line = " ".join(expression.split("\n"))
        shown = f"  {line}\n  {' ' * start}{'^' * max(end - start, 1)}\n" if len(line) <= 200 else ""
        complain(f"{error['message']} ({error['code']})\n{shown}".rstrip("\n"), hint=error.get("hint"))
    return 0 if found["ok"] else 1


def _here(expression: str, file: str | None, node: str | None, given: dict[str, Any]) -> dict[str, Any]:
    from aicflow.cli.files import Unreadable, read_file
    from aicflow.engine.preview import preview_expression, preview_scope
    from aicflow.kernel.errors import AICFlowError

    if node is not None:
        raise AICFlowError("--node goes with --execution.", hint="Without an execution no node has run.")
    document: Any = {}
    if file is not None:
        try:
            document = read_file(file).value
        except Unreadable as error:
            raise AICFlowError(error.sentence(), hint=error.error.hint) from None
        if not isinstance(document, dict) or not isinstance(document.get("vars", {}), dict):
            raise AICFlowError(f"{file} is not a workflow.", hint=f"`aicflow validate {file}` tells why.")
    return preview_expression(expression, preview_scope(document, extra=given)).to_dict()


def _on_server(expression: str, execution: str, node: str | None, given: dict[str, Any]) -> dict[str, Any]:
    from aicflow.cli.server import Server

    at = Server()
    workflow = at.api.executions.get(execution)["workflow_id"]
    body: dict[str, Any] = {"expression": expression, "execution_id": execution}
    if node is not None:
        body["node_id"] = node
    if given:
        body["scope"] = given
    result: dict[str, Any] = at.post("workflows", workflow, "preview-expression", body=body)
    return result
