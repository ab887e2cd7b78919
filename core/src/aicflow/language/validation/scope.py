"""The types of one document or body as its expressions make them: of each site once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Any, Final

from aicflow_language.template import TemplateExpression

from aicflow.kernel.document import Map, NodeEntry, Repeat
from aicflow.kernel.node import NodeType
from aicflow.language.schema import SchemaView, Verdict
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.facts import Environment
from aicflow.language.validation.finding import WHOLE, Finding
from aicflow.language.validation.fits import in_text, misfit, place_of
from aicflow.language.validation.infer import Inference
from aicflow.language.validation.inputs import type_of_template
from aicflow.language.validation.paths import END
from aicflow.language.validation.references import SiteRoots
from aicflow.language.validation.sources import ERROR, Sources, params_view, view_of
from aicflow.language.validation.subject import Site, Subject
from aicflow.language.validation.views import (
    ANYTHING,
    BOOLEAN,
    COUNT,
    NULL,
    STRING,
    access,
    constant,
    fixed_list,
    item_of,
    kinds_of,
    merged,
    object_with,
    sequence_of,
    typed,
)

_NOWHERE: Final = Environment()
_NAME: Final[dict[str, Any]] = {"type": ["string", "number", "null"]}
_SUBJECT: Final = view_of({"anyOf": [_NAME, {"type": "array", "items": _NAME}]})
_KEY: Final = typed(frozenset(("string", "number")))
_MOST_ENDS: Final = 10


@cache
def _output_param(cls: NodeType) -> str | None:
    """The param whose value is the output of the type, by its mark `x-aicflow: {output: true}`."""
    for name, field in cls.params_schema().get("properties", {}).items():
        mark = field.get("x-aicflow") if isinstance(field, dict) else None
        if isinstance(mark, dict) and mark.get("output") is True:
            return str(name)
    return None


class Checked:
    """The expressions of one site: their types, and what is wrong with them."""

    def __init__(self) -> None:
        self.types: dict[tuple[str | int, ...], SchemaView] = {}
        self.findings: list[tuple[TemplateExpression, list[Finding]]] = []

    def check(self, site: Site, roots: SiteRoots, schema: SchemaView | None, effort: Effort) -> None:
        """Look at all of them. Raises TooCostly."""
        broken = {problem.pointer for problem in site.template.problems}
        for place in site.template.expressions:
            self.types[place.path] = ANYTHING if place.whole else STRING
            if place.expression is None:
                continue
            found: list[Finding] = []
            value = Inference(place.source, roots, found.append, effort).type_of(place.expression.ast, _NOWHERE)
            if place.pointer not in broken and not any(finding.severity == "error" for finding in found):
                _check_fit(place, value, schema, found, effort)
            if found:
                self.findings.append((place, found))
            if place.whole:
                self.types[place.path] = value


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


class Scope(Sources):
    """The types of a document or of a body. `names` are the types of what a body may name besides the roots. What it
    is asked for in the order of the graph, it need not look far back for."""

    def __init__(
        self,
        subject: Subject,
        effort: Effort,
        outer: Scope | None = None,
        names: Mapping[str, SchemaView] | None = None,
    ) -> None:
        super().__init__(subject, effort, outer, names)
        self._sites = {site.index: site for site in subject.sites if site.place == "node"}
        self._checked: dict[int, Checked] = {}
        self._inside: dict[int, Scope | None] = {}
        self._inferred: dict[int, SchemaView | None] = {}
        self.unsettled: set[int] = set()
        """The repeats whose `carry` has another type after each pass."""

    def site_of(self, index: int) -> Site | None:
        """The params of a node, when an expression stands in them."""
        return self._sites.get(index)

    def checked(self, site: Site) -> Checked:
        """What is known of the expressions of a site. Raises TooCostly."""
        found = self._checked.get(id(site))
        if found is None:
            found = self._checked[id(site)] = Checked()
            found.check(site, SiteRoots(self, site), self._schema_of(site), self.effort)
        return found

    def _schema_of(self, site: Site) -> SchemaView | None:
        match site.place:
            case "node":
                registered = self.subject.types[site.index]
                return params_view(registered.cls) if registered is not None else None
            case "trigger-params":
                trigger = self.subject.trigger_types[site.index]
                return params_view(trigger.cls) if trigger is not None else None
            case "trigger":
                return self.input
            case "concurrency":
                return view_of({"type": ["string", "number", "boolean", "null"]})
            case "subject":
                return _SUBJECT
            case "key":
                return _KEY
            case "while":
                return BOOLEAN
            case _:
                return None

    # Outputs

    def infers(self, index: int) -> bool:
        """Whether the output's type follows from expressions."""
        node, registered = self.subject.nodes[index], self.subject.types[index]
        if node is None or registered is None:
            return False
        return node.body is not None or _output_param(registered.cls) is not None

    def own_output(self, index: int) -> SchemaView | None:
        """What the node's type says of its output, or its body, or the param that becomes its output."""
        if not self.infers(index):
            own, node = super().own_output(index), self.subject.nodes[index]
            return own if own is None or node is None else self._with_called(node.type_params, own)
        if index not in self._inferred:
            self._inferred[index] = self._inferred_output(index)
        return self._inferred[index]

    def payload(self, index: int) -> SchemaView:
        """The payload of one trigger, with the types of workflows that it names."""
        found, trigger = super().payload(index), self.subject.triggers[index]
        return found if found is ANYTHING or trigger is None else self._with_called(trigger.params, found)

    def _with_called(self, params: Mapping[str, Any], own: SchemaView) -> SchemaView:
        """The output or payload in which a field that is the output of workflows has their types."""
        callees = self.subject.callees
        fields = own.schema.get("properties") if isinstance(own.schema, dict) else None
        if callees is None or not isinstance(fields, dict):
            return own
        for name, field in fields.items():
            mark: Any = field.get("x-aicflow", {}) if isinstance(field, dict) else {}
            named = params.get(mark["output_of"]) if "output_of" in mark else None
            ids = [named] if isinstance(named, str) else named if isinstance(named, list) else []
            key = id(own.schema), name, tuple(map(str, ids)), mark.get("nullable") is True
            if key in callees.typed:
                return callees.typed[key][0]
            contracts = [callees.contract(one) if isinstance(one, str) else None for one in ids]
            views = [ANYTHING if one is None else one.output for one in contracts]
            type_ = merged([*views, NULL] if mark.get("nullable") else views) if views else ANYTHING
            if type_ is not ANYTHING:
                view = object_with({**{one: access(own, one).view for one in fields}, name: type_})
                callees.typed[key] = view, own
                return view
        return own

    def _inferred_output(self, index: int) -> SchemaView | None:
        node, registered = self.subject.nodes[index], self.subject.types[index]
        assert node is not None
        assert registered is not None
        if node.body is None:
            name = _output_param(registered.cls)
            defaults = registered.setting.default_params
            assert name is not None
            return self.param(index, name) if name in node.params or name not in defaults else constant(defaults[name])
        inner = self.inside(index)
        if inner is None:
            return None
        result = inner.result()
        if node.map is not None:
            return _map_output(node.map, result)
        if node.repeat is not None:
            return object_with({"carry": result, "passes": COUNT, "done": BOOLEAN})
        return result

    def param(self, index: int, *way: str | int) -> SchemaView:
        """The type of a param, or of a part of one, as it is written."""
        node = self.subject.nodes[index]
        written: Any = None if node is None else node.type_params
        try:
            for key in way:
                written = written[key]
        except (LookupError, TypeError):
            return ANYTHING
        return type_of_template(written, self.types_in(index, way))

    def types_in(self, index: int, way: tuple[str | int, ...]) -> dict[tuple[str | int, ...], SchemaView]:
        """The types of the expressions inside a part of a node's params, by the way from there."""
        site = self.site_of(index)
        found = {} if site is None else self.checked(site).types
        return {path[len(way) :]: view for path, view in found.items() if path[: len(way)] == way}

    # Bodies

    def inside(self, index: int) -> Scope | None:
        """The scope of a node's body, None when it has none. Raises TooCostly."""
        if index not in self._inside:
            body = self.subject.bodies.get(index)
            names = {} if body is None else self._names(index, self.subject.nodes[index], body)
            self._inside[index] = None if body is None else self._scope(body, names)
        return self._inside[index]

    def _scope(self, body: Subject, names: Mapping[str, SchemaView]) -> Scope:
        return Scope(body, self.effort, self, {**self.names, **names})

    def _names(self, index: int, node: NodeEntry | None, body: Subject) -> dict[str, SchemaView]:
        match None if node is None else node.body:
            case Map() as entry:
                over = self.param(index, "over")
                item = item_of(over) if "array" in kinds_of(over) else ANYTHING
                return {"index": COUNT, entry.as_: sequence_of(item) if entry.batch > 1 else item}
            case Repeat() as entry:
                return {"carry": self._carry(index, entry, body), "index": COUNT}
            case _:
                return dict.fromkeys(body.names, ANYTHING)

    def _carry(self, index: int, entry: Repeat, body: Subject) -> SchemaView:
        """The type that `carry` has in every pass: that of its start joined with that of the body's output, once both
        no longer change each other."""
        carry = NULL if entry.carry is None else self.param(index, "carry")
        verdict = Verdict.UNKNOWN
        for _ in range(2):
            given = self._scope(body, {"carry": carry, "index": COUNT}).result()
            if carry is ANYTHING or given is ANYTHING:
                return ANYTHING
            verdict = self.effort.compare(given, carry).verdict
            if verdict is Verdict.YES:
                return carry
            carry = merged([carry, given])
        if verdict is not Verdict.UNKNOWN:
            self.unsettled.add(index)
        return ANYTHING

    def result(self) -> SchemaView:
        """What one run of the body gives. Raises TooCostly."""
        subject = self.subject
        for index in subject.graph.order if subject.graph is not None else ():
            if self.infers(index):
                self.own_output(index)
        if subject.output is None:
            return self._last()
        site = next((site for site in subject.sites if site.place == "output"), None)
        return type_of_template(subject.output, {} if site is None else self.checked(site).types)

    def _last(self) -> SchemaView:
        """The output of the last node, or of each last node by id when several ran; anything where that is not known.
        As `aicflow.engine.run.outcome` makes it."""
        subject, graph, paths = self.subject, self.subject.graph, self.subject.paths
        if graph is None or paths is None or subject.loose:
            return ANYTHING
        ends = [node for node in graph.order if not graph.successors[node]]
        for node in graph.order:
            used = {port for port, _ in graph.successors[node]}
            if used and not used.issuperset(subject.ports[node] or ("",)):
                return ANYTHING  # it may be the last, by a port that leads nowhere
        if len(ends) == 1:
            return self._result_of(ends[0])
        if all(paths.way_without(node, END) is None for node in ends):
            return object_with({graph.names[node]: self._result_of(node) for node in ends})
        if len(ends) <= _MOST_ENDS and all(paths.way_with_both(pair) is None for pair in combinations(ends, 2)):
            return merged([self._result_of(node) for node in ends])
        return ANYTHING

    def _result_of(self, index: int) -> SchemaView:
        node = self.subject.nodes[index]
        return self.output(index) if node is not None and node.on_error == "fail" else self.output_or_null(index)


def _map_output(entry: Map, result: SchemaView) -> SchemaView:
    tolerant = entry.on_item_error != "fail"
    key = NULL if entry.key is None else _KEY
    item = merged([result, NULL]) if tolerant else result
    failure = object_with({"index": COUNT, "key": key, "error": ERROR})
    fields: dict[str, Any] = {
        "items": fixed_list([]) if entry.collect == "none" else sequence_of(item),
        "failed": sequence_of(failure) if tolerant else fixed_list([]),
        "count": COUNT,
        "succeeded": COUNT,
    }
    return object_with(fields)
