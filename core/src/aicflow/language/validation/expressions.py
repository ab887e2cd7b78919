"""All expressions of a document: what they refer to, what they give, and whether that fits where they stand."""

from __future__ import annotations

from typing import Final

from aicflow_language.template import TemplateExpression

from aicflow.kernel.issues import Issue
from aicflow.language.schema import SchemaView
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.facts import Environment
from aicflow.language.validation.finding import WHOLE, Finding
from aicflow.language.validation.fits import in_text, misfit, place_of
from aicflow.language.validation.infer import Inference
from aicflow.language.validation.inputs import check_mapped_input
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.paths import Paths
from aicflow.language.validation.references import SiteRoots
from aicflow.language.validation.report import Report
from aicflow.language.validation.sources import Sources, params_view, view_of
from aicflow.language.validation.subject import Site, Subject
from aicflow.language.validation.views import STRING
from aicflow.language.work import TooCostly

__all__ = ["check_expressions", "check_unreachable", "paths_of"]

_NOWHERE: Final = Environment()


def paths_of(subject: Subject) -> Paths | None:
    """The run conditions of the document's graph, None when it has none."""
    return None if subject.graph is None else Paths(subject.graph, subject.ports)


def check_unreachable(subject: Subject, paths: Paths, report: Report) -> None:
    """Nodes that can never run. Those after them are not told of: there is one thing to mend."""
    for index in paths.first_that_never_run():
        node = subject.nodes[index]
        name = f"'{node.id}'" if node is not None else "This node"
        report.warning(
            "graph.unreachable",
            f"/nodes/{index}",
            f"{name} can never run: every edge into it leaves by a port that does not exist.",
            hint="Correct the port of one of its edges.",
        )


def check_expressions(subject: Subject, sources: Sources, paths: Paths | None, limits: Limits, report: Report) -> None:
    """Every expression of every site."""
    for site in subject.sites:
        checked = _Checked(site, SiteRoots(subject, sources, paths, site), _schema_of(subject, sources, site))
        try:
            checked.check(sources.effort)
        except TooCostly:
            message = f"The expressions of the workflow have more than {limits.parts:,} parts."
            hint = "Split it, and join the parts with workflow.call."
            report.error("doc.too-large", site.pointer, message, hint=hint)
            return
        for place, found in checked.findings:
            _tell(report, site, place, found)
        if site.place == "trigger" and not checked.findings and not site.template.problems:
            check_mapped_input(subject, site, checked.types, sources, report)


class _Checked:
    """The expressions of one site, with the types of those that are well."""

    def __init__(self, site: Site, roots: SiteRoots, schema: SchemaView | None) -> None:
        self._site = site
        self._roots = roots
        self._schema = schema
        self.types: dict[tuple[str | int, ...], SchemaView] = {}
        self.findings: list[tuple[TemplateExpression, list[Finding]]] = []

    def check(self, effort: Effort) -> None:
        """Look at all of them. Raises TooCostly."""
        template = self._site.template
        broken = {problem.pointer for problem in template.problems}
        for place in template.expressions:
            if place.expression is None:
                continue
            found: list[Finding] = []
            value = Inference(place.source, self._roots, found.append, effort).type_of(place.expression.ast, _NOWHERE)
            if place.pointer not in broken and not any(finding.severity == "error" for finding in found):
                _check_fit(place, value, self._schema, found, effort)
            if found:
                self.findings.append((place, found))
            self.types[place.path] = value if place.whole else STRING


def _schema_of(subject: Subject, sources: Sources, site: Site) -> SchemaView | None:
    if site.place == "node":
        registered = subject.types[site.index]
        return params_view(registered.cls) if registered is not None else None
    if site.place == "trigger-params":
        trigger = subject.trigger_types[site.index]
        return params_view(trigger.cls) if trigger is not None else None
    if site.place == "trigger":
        return sources.input
    if site.place == "concurrency":
        return view_of({"type": ["string", "number", "boolean", "null"]})
    return None


def _check_fit(
    place: TemplateExpression,
    value: SchemaView,
    schema: SchemaView | None,
    found: list[Finding],
    effort: Effort,
) -> None:
    if not place.whole:
        problem = in_text(value)
        if problem is not None:
            found.append(problem)
            return
        value = STRING
    wanted = place_of(schema, place.path) if schema is not None else None
    if wanted is None:
        return
    wrong = misfit(value, wanted, effort)
    if wrong is not None and (place.whole or wrong.severity == "error"):
        hint = wrong.hint if place.whole else None
        found.append(Finding(wrong.code, wrong.message, WHOLE, hint, wrong.severity))


def _tell(report: Report, site: Site, place: TemplateExpression, found: list[Finding]) -> None:
    if any(finding.is_reference for finding in found):
        found = [finding for finding in found if finding.is_reference]
    for finding in found:
        start, end = finding.span
        span = place.span if finding.span is WHOLE else (place.offset + start, place.offset + end)
        report.add(
            Issue(finding.code, finding.severity, site.pointer + place.pointer, finding.message, finding.hint, span)
        )
