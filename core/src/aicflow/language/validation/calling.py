"""Calls of other workflows: that these exist, take what they are given, and do not start each other in a circle."""

from __future__ import annotations

from typing import Any, Final

from aicflow_language.suggest import did_you_mean

from aicflow.kernel.issues import Issue
from aicflow.kernel.values import pointer
from aicflow.language.params import params_schemas
from aicflow.language.schema import SchemaValidator, SchemaView
from aicflow.language.validation.called import Callees, Named, named_in
from aicflow.language.validation.fits import misfit
from aicflow.language.validation.inputs import written_part
from aicflow.language.validation.report import Report
from aicflow.language.validation.scope import Scope
from aicflow.language.validation.sources import ERROR
from aicflow.language.validation.views import ANYTHING, COUNT, NULL, STRING, object_with
from aicflow.language.work import TooCostly

_MOST: Final = 20
_ENDS: Final = (
    "Let a condition end it. One may start another up to 100 deep (AICFLOW_MAX_CALL_DEPTH); beyond that it is refused "
    "with too-deep."
)


def check_calls(scope: Scope, report: Report) -> None:
    """All calls of a document, those inside of bodies included."""
    callees, subject = scope.subject.callees, scope.subject
    if callees is None:
        return
    types = params_schemas(subject.registry)
    for index, trigger in enumerate(subject.triggers):
        found = subject.trigger_types[index]
        if trigger is not None and found is not None:
            for named in named_in(trigger.params, found.cls, types):
                _check_source(callees, named.workflow, pointer("triggers", index, "params", *named.way), report)
    handler = subject.settings.on_failure
    if handler is not None:
        _check_name(callees, handler, "/settings/on_failure", report)
        contract = callees.contract(handler)
        if contract is not None:
            fields = {"execution_id": STRING, "workflow_id": STRING, "version": COUNT}
            given = object_with({**fields, "input": scope.input, "error": ERROR})
            _check_fit(scope, handler, contract.input, given, None, "/settings/on_failure", report)
    try:
        for part in _scopes(scope):
            for index, node in enumerate(part.subject.nodes):
                registered = part.subject.types[index]
                if node is None or registered is None or node.body is not None:
                    continue
                for named in named_in(node.params, registered.cls, types):
                    _check_name(
                        callees, named.workflow, part.subject.pointer("nodes", index, "params", *named.way), report
                    )
                    if named.input is not None:
                        _check_input(part, index, named, report)
    except TooCostly:
        return  # the expressions have been told of


def _scopes(scope: Scope) -> list[Scope]:
    found = [scope]
    for part in found:  # grows while it is read
        found += [inner for index in part.subject.bodies if (inner := part.inside(index)) is not None]
    return found


def _check_source(callees: Callees, workflow: str, at: str, report: Report) -> None:
    """A workflow whose end starts this one."""
    own = callees.known.own
    if workflow == own:
        hint = "Use repeat to do a part again, or workflow.call."
        report.error("call.circle", at, "The workflow would start itself without an end.", hint=hint)
    elif _exists(callees, workflow, at, report) and own is not None:
        _tell_circle(callees.way(own, workflow), own, at, report)


def _check_name(callees: Callees, workflow: str, at: str, report: Report) -> None:
    own = callees.known.own
    if (workflow == own or _exists(callees, workflow, at, report)) and own is not None:
        way = callees.way(workflow, own)
        _tell_circle(None if way is None else [own, *way[:-1]], own, at, report)


def _tell_circle(way: list[str] | None, own: str, at: str, report: Report) -> None:
    if way is not None:
        told = " → ".join([*way, own])
        report.warning("call.circle", at, f"These workflows start each other in a circle: {told}.", hint=_ENDS)


def _exists(callees: Callees, workflow: str, at: str, report: Report) -> bool:
    known = callees.known
    if workflow in known.documents:
        return True
    if known.complete:
        hint = did_you_mean(workflow, known.documents) or "Save it under this id before this one runs."
        report.warning("ref.unknown-workflow", at, f"There is no workflow '{workflow}'.", hint=hint)
    else:
        message = f"It cannot be told here whether there is a workflow '{workflow}', and what it takes and returns."
        report.warning("call.unchecked", at, message, hint="A server checks it when the workflow is saved.")
    return False


def _check_input(scope: Scope, index: int, named: Named, report: Report) -> None:
    callees, node = scope.subject.callees, scope.subject.nodes[index]
    assert callees is not None
    assert node is not None
    assert named.input is not None
    contract = callees.contract(named.workflow)
    if contract is None or contract.input is ANYTHING:
        return
    at = scope.subject.pointer("nodes", index, "params", *named.input)
    written: Any = node.params
    for key in named.input[:-1]:
        written = written[key]
    if named.input[-1] not in written:
        if len(named.input) == 1:  # what a tool is given is left to the model
            at = scope.subject.pointer("nodes", index, "params")
            _check_fit(scope, named.workflow, contract.input, NULL, None, at, report)
        return
    given = written[named.input[-1]]
    if scope.types_in(index, named.input):
        _check_fit(scope, named.workflow, contract.input, scope.param(index, *named.input), given, at, report)
        return
    for violation in SchemaValidator(contract.input.schema).validate(given, limit=_MOST):
        message = f"The input does not fit the input_schema of '{named.workflow}': {violation.message}"
        report.error("type.mismatch", at + violation.pointer, message)


def _check_fit(
    scope: Scope, workflow: str, wanted: SchemaView, value: SchemaView, written: Any, at: str, report: Report
) -> None:
    found = None if wanted is ANYTHING else misfit(value, wanted, scope.effort)
    if found is None:
        return
    doubt = "may not" if found.severity == "warning" else "does not"
    message = f"The input {doubt} fit the input_schema of '{workflow}': {found.clause}."
    part = written_part(written, found) if isinstance(written, dict | list) else ""
    report.add(Issue(found.code, found.severity, at + part, message, found.hint))
