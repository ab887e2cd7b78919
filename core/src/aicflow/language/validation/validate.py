"""The one function: document and registry in, issues out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aicflow_language.suggest import bounded_suggestions

from aicflow.kernel.issues import Issue
from aicflow.kernel.registry import Registry
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
from aicflow.language.validation.subject import Subject
from aicflow.language.validation.ways import check_triggers


def validate(
    document: Any,
    registry: Registry,
    *,
    secret_names: Collection[str] | None = None,
    limits: Limits | None = None,
) -> list[Issue]:
    """Everything that is wrong with a document, in document order; empty when nothing is.

    `document` is parsed JSON or YAML; it is neither changed nor kept. `secret_names` are the secrets that exist, None
    when that is not known. Never raises for what a document holds.
    """
    with bounded_suggestions():
        return _validate(document, registry, secret_names, limits or Limits())


def _validate(document: Any, registry: Registry, secret_names: Collection[str] | None, limits: Limits) -> list[Issue]:
    report = Report(limits.issues)
    if not isinstance(document, Mapping):
        report.error("doc.schema", "", "A workflow document is an object.", hint="Begin with `aicflow: 1`.")
        return report.in_order(document)
    subject = Subject(document, registry, secret_names)
    if read_shape(subject, report, limits):
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
        scope = Scope(subject, Effort(limits.parts))
        check_inputs(scope, report)
        check_expressions(scope, limits, report)
    return report.in_order(document)
