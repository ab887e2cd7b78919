"""All expressions of a document: what they refer to, what they give, and whether that fits where they stand."""

from __future__ import annotations

from typing import Final

from aicflow_language.template import TemplateExpression

from aicflow.kernel.issues import Issue
from aicflow.language.schema import Presence
from aicflow.language.validation.finding import WHOLE, Finding
from aicflow.language.validation.inputs import check_declared, check_mapped_input
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.paths import Paths
from aicflow.language.validation.report import Report
from aicflow.language.validation.scope import Scope
from aicflow.language.validation.subject import Site, Subject
from aicflow.language.validation.views import access, kinds_of
from aicflow.language.work import TooCostly

_LIST: Final = frozenset(("array",))


def find_paths(subject: Subject) -> None:
    """The run conditions of the graphs of a document and its bodies, which share one budget."""
    budget = None
    for part in subject.parts():
        if part.graph is not None:
            part.paths = Paths(part.graph, part.ports) if budget is None else Paths(part.graph, part.ports, budget)
            budget = part.paths.budget


def check_unreachable(subject: Subject, report: Report) -> None:
    """Nodes that can never run. Those after them are not told of: there is one thing to mend."""
    for index in subject.paths.first_that_never_run() if subject.paths is not None else ():
        node = subject.nodes[index]
        name = f"'{node.id}'" if node is not None else "This node"
        report.warning(
            "graph.unreachable",
            subject.pointer("nodes", index),
            f"{name} can never run: every edge into it leaves by a port that does not exist.",
            hint="Correct the port of one of its edges.",
        )


def check_expressions(scope: Scope, limits: Limits, report: Report) -> None:
    """Every expression of every site, those of bodies included, and what follows from their types."""
    check = _Check(report)
    try:
        check.all_of(scope)
    except TooCostly:
        message = f"The expressions of the workflow have more than {limits.parts:,} parts."
        hint = "Split it, and join the parts with workflow.call."
        report.error("doc.too-large", check.at, message, hint=hint)


class _Check:
    """One check of a whole document. `at` is the pointer of what is being looked at."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.at = ""

    def all_of(self, scope: Scope) -> None:
        """Everything in a document or body, nodes in the order of the graph. Raises TooCostly."""
        subject = scope.subject
        for index in subject.graph.order if subject.graph is not None else range(len(subject.nodes)):
            site = scope.site_of(index)
            if site is not None:
                self._site(scope, site)
            self.at = subject.pointer("nodes", index)
            inner = scope.inside(index)
            if inner is not None:
                self._body(scope, index, inner)
                self.all_of(inner)
            if scope.infers(index):
                scope.own_output(index)
        for site in subject.sites:
            if site.place != "node":
                self._site(scope, site)
        check_declared(scope, self._report)

    def _site(self, scope: Scope, site: Site) -> None:
        self.at = site.pointer
        checked = scope.checked(site)
        for place, found in checked.findings:
            _tell(self._report, site, place, found)
        if site.place == "trigger" and not checked.findings and not site.template.problems:
            check_mapped_input(scope.subject, site, checked.types, scope, self._report)

    def _body(self, scope: Scope, index: int, inner: Scope) -> None:
        node, at = scope.subject.nodes[index], inner.subject.pointer()
        if index in scope.unsettled:
            message = "The type of carry changes with every pass, so what reads it is not checked."
            hint = "Let the body give what `carry` begins with: an object with the same fields."
            self._report.warning("type.maybe-mismatch", f"{at}/output", message, hint=hint)
        if node is None or node.map is None:
            return
        over = scope.param(index, "over")
        if kinds_of(over) == _LIST and access(over, 0).presence is Presence.NEVER:
            self._report.warning("param.invalid", f"{at}/over", "The list is always empty, so nothing runs.")
        if isinstance(node.map.over, list) and len(node.map.over) > node.map.max_items:
            message = f"The list has {len(node.map.over):,} items, more than max_items: {node.map.max_items:,}."
            self._report.error("param.invalid", f"{at}/over", message, hint="Raise max_items.")


def _tell(report: Report, site: Site, place: TemplateExpression, found: list[Finding]) -> None:
    if any(finding.is_reference for finding in found):
        found = [finding for finding in found if finding.is_reference]
    for finding in found:
        start, end = finding.span
        span = place.span if finding.span is WHOLE else (place.offset + start, place.offset + end)
        report.add(
            Issue(finding.code, finding.severity, site.pointer + place.pointer, finding.message, finding.hint, span)
        )
