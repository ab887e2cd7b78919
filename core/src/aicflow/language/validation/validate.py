"""The one function: document and registry in, issues out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from aicflow_language.suggest import bounded_suggestions

from aicflow.kernel.issues import Issue
from aicflow.kernel.registry import Registry
from aicflow.language.validation.called import Callees, Contract, Workflows
from aicflow.language.validation.calling import check_calls
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.entries import check_entries, check_graph
from aicflow.language.validation.expressions import check_expressions, check_unreachable, find_paths
from aicflow.language.validation.inputs import check_inputs
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.params import check_params, check_templates
from aicflow.language.validation.report import Report
from aicflow.language.validation.retries import check_retries
from aicflow.language.validation.scope import Scope
from aicflow.language.validation.shape import check_schemas, read_shape
from aicflow.language.validation.sources import view_of
from aicflow.language.validation.subject import Subject
from aicflow.language.validation.views import ANYTHING
from aicflow.language.validation.ways import check_triggers
from aicflow.language.work import TooCostly

_MOST_CALLED: Final = 20_000
"""Nodes of the called workflows that are looked at; of what is called beyond that, only the input is known."""


def validate(
    document: Any,
    registry: Registry,
    *,
    secret_names: Collection[str] | None = None,
    limits: Limits | None = None,
    workflows: Workflows | None = None,
) -> list[Issue]:
    """Everything that is wrong with a document, in document order; empty when nothing is.

    `document` is parsed JSON or YAML; it is neither changed nor kept. `secret_names` are the secrets that exist, None
    when that is not known; `workflows` those that it may call, None when calls are not to be checked. Never raises for
    what a document holds.
    """
    limits = limits or Limits()
    with bounded_suggestions():
        callees = None if workflows is None else _callees(workflows, registry, limits)
        return _validate(document, registry, secret_names, limits, callees)


def contract_of(document: Any, registry: Registry, workflows: Workflows, limits: Limits | None = None) -> Contract:
    """What a workflow takes and returns, as far as its document says."""
    limits = limits or Limits()
    callees = _callees(workflows, registry, limits)
    with bounded_suggestions():
        return _contract(document, registry, limits, callees, Effort(limits.parts))


def _callees(workflows: Workflows, registry: Registry, limits: Limits) -> Callees:
    """Those that a document may call. All of them together are looked at with the effort of one document."""
    effort, left = Effort(limits.parts), _MOST_CALLED

    def read(document: Any, callees: Callees) -> Contract:
        nonlocal left
        nodes = document.get("nodes") if isinstance(document, Mapping) else None
        left -= len(nodes) if isinstance(nodes, list) else 0
        return _contract(document, registry, limits, callees if left >= 0 else None, effort)

    return Callees(workflows, registry, read)


def _contract(document: Any, registry: Registry, limits: Limits, callees: Callees | None, effort: Effort) -> Contract:
    schema = document.get("input_schema") if isinstance(document, Mapping) else None
    view = view_of(schema)
    given = view if view is not None and (isinstance(schema, bool) or effort.affords(view.schema)) else ANYTHING
    if callees is None or not isinstance(document, Mapping):
        return Contract(given, ANYTHING)
    report = Report(limits.issues)
    subject = Subject(document, registry, None, callees)
    if not _read(subject, report, limits) or any(issue.severity == "error" for issue in report.in_order(document)):
        return Contract(given, ANYTHING)  # no longer valid with what is installed
    try:
        return Contract(given, Scope(subject, effort).result())
    except TooCostly:
        return Contract(given, ANYTHING)


def _read(subject: Subject, report: Report, limits: Limits) -> bool:
    """Everything but types. False when there is nothing to go on with."""
    if not read_shape(subject, report, limits):
        return False
    parts = list(subject.parts())
    for part in parts:
        check_schemas(part, report)
        check_entries(part, report)
    for part in parts:
        check_graph(part, report)
        check_retries(part, report)
        check_params(part, report)
        check_templates(part, report)
    find_paths(subject)
    for part in parts:
        check_unreachable(part, report)
    check_triggers(subject, report)
    return True


def _validate(
    document: Any,
    registry: Registry,
    secret_names: Collection[str] | None,
    limits: Limits,
    callees: Callees | None,
) -> list[Issue]:
    report = Report(limits.issues)
    if not isinstance(document, Mapping):
        report.error("doc.schema", "", "A workflow document is an object.", hint="Begin with `aicflow: 1`.")
        return report.in_order(document)
    subject = Subject(document, registry, secret_names, callees)
    if _read(subject, report, limits):
        scope = Scope(subject, Effort(limits.parts))
        check_inputs(scope, report)
        check_expressions(scope, limits, report)
        check_calls(scope, report)
    return report.in_order(document)
