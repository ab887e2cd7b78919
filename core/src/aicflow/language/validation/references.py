"""References: every name exists, may be used where it stands, and has a value whenever it is read there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from aicflow_language.expr import ROOTS, Span
from aicflow_language.expr.ast import Field, Name, Step
from aicflow_language.expr.references import constant_key
from aicflow_language.suggest import did_you_mean

from aicflow.language.validation.facts import Environment
from aicflow.language.validation.finding import Finding
from aicflow.language.validation.paths import END, Answer, Way
from aicflow.language.validation.rules import Start
from aicflow.language.validation.sources import ERROR, EXECUTION, Sources
from aicflow.language.validation.subject import Place, Site
from aicflow.language.validation.views import ANYTHING, NULL, OBJECT, STRING

PLACES: Final[Mapping[Place, tuple[tuple[str, ...], str]]] = {
    "node": (ROOTS, "a node's params"),
    "output": (("input", "trigger", "nodes", "vars", "execution"), "the output"),
    "trigger": (("trigger", "vars"), "a trigger's input"),
    "trigger-params": (("vars", "secrets"), "a trigger's params"),
    "concurrency": (("input", "trigger", "vars"), "the concurrency key"),
    "subject": (("input", "trigger", "vars"), "whom executions are about"),
    "key": (("input", "trigger", "nodes", "vars", "execution"), "the key of a map"),
    "while": (("input", "trigger", "nodes", "vars", "execution"), "the condition of a repeat"),
}
"""Which names may be used in each place, and what the place is called."""

_ENTRY: Final = ("output", "error")
_SHOWN: Final = 3

type Tell = Callable[[Finding], None]


class SiteRoots:
    """The meaning of names in the expressions of one site."""

    def __init__(self, sources: Sources, site: Site) -> None:
        self._subject = subject = sources.subject
        self._sources = sources
        self._paths = subject.paths
        self._site = site
        self._here = site.index if site.place == "node" else END
        self._outside: SiteRoots | None = None
        """What is meant by the names of nodes outside of the body: what the node it belongs to may refer to."""
        if sources.outer is not None and subject.body is not None:
            owner = Site("node", subject.body.pointer, site.template, subject.body.owner)
            self._outside = SiteRoots(sources.outer, owner)

    def enter(
        self, name: Name, steps: tuple[Step, ...], environment: Environment, tell: Tell, soft: bool
    ) -> Start | None:
        """The beginning of a path from a root; None when it leads nowhere, which has been told."""
        root = name.name
        if root in self._subject.names:  # also where it hides a root, of which its map has told
            return Start(self._sources.names.get(root, ANYTHING))
        if root not in ROOTS:
            return None  # the template has told
        allowed, place = PLACES[self._site.place]
        if root not in allowed:
            message = f"'{root}' is not known in {place}."
            names = ", ".join((*allowed, *self._subject.names))
            tell(Finding("ref.unknown-name", message, name.span, f"Available names: {names}."))
            return None
        match root:
            case "nodes":
                return self._node(name, steps, environment, tell)
            case "vars":
                return self._vars(name, steps, tell)
            case "secrets":
                return self._secret(name, steps, tell)
            case "execution":
                return self._execution(name, steps, tell)
            case "input":
                return Start(self._sources.input)
            case _:
                in_own_input = self._site.place == "trigger"
                return Start(self._sources.payload(self._site.index) if in_own_input else self._sources.trigger)

    # Roots with names of their own

    def _vars(self, name: Name, steps: tuple[Step, ...], tell: Tell) -> Start | None:
        """The value is followed as far as it is there, so that nothing large is made a schema."""
        value: Any = self._subject.vars
        taken = 0
        for step in steps:
            key = constant_key(step)
            if isinstance(key, str) and isinstance(value, dict) and key not in value and taken == 0:
                known = ", ".join(islice(value, 20))
                hint = did_you_mean(key, value) or (f"Available variables: {known}." if known else "Add it under vars.")
                self._unknown(f"There is no variable '{key}' in vars.", name, step, tell, hint)
                return None
            if not isinstance(key, str) or not isinstance(value, dict) or key not in value:
                break
            value = value[key]
            taken += 1
        return Start(self._sources.constant(value), taken)

    def _secret(self, name: Name, steps: tuple[Step, ...], tell: Tell) -> Start | None:
        known = self._subject.secret_names
        key = constant_key(steps[0]) if steps else None
        if key is None:
            return None  # the template has told
        if known is not None and key not in known:
            hint = did_you_mean(str(key), sorted(known)) or f"Store the secret first, or set AICFLOW_SECRET_{key}."
            span = (name.span[0], steps[0].span[1])
            tell(Finding("ref.unknown-secret", f"There is no secret '{key}'.", span, hint))
            return None
        return Start(STRING, 1)

    def _execution(self, name: Name, steps: tuple[Step, ...], tell: Tell) -> Start | None:
        assert isinstance(EXECUTION.schema, dict)
        fields: dict[str, Any] = EXECUTION.schema["properties"]
        key = constant_key(steps[0]) if steps else None
        if isinstance(key, str) and key not in fields:
            hint = did_you_mean(key, fields) or f"Available fields: {', '.join(fields)}."
            self._unknown(f"There is no 'execution.{key}'.", name, steps[0], tell, hint)
            return None
        return Start(EXECUTION)

    def _unknown(self, message: str, name: Name, step: Step, tell: Tell, hint: str) -> None:
        tell(Finding("ref.unknown-name", message, (name.span[0], step.span[1]), hint))

    # Nodes

    def _node(self, name: Name, steps: tuple[Step, ...], environment: Environment, tell: Tell) -> Start | None:
        key = constant_key(steps[0]) if steps else None
        if key is None:
            span = (name.span[0], steps[0].span[1] if steps else name.span[1])
            message = "'nodes' cannot be used as a whole, or with a node that is known only later."
            tell(Finding("ref.whole-graph", message, span, "Name one node: nodes.ID.output."))
            return None
        span = (name.span[0], steps[0].span[1])
        name_of_node, roots = str(key), self
        while name_of_node not in roots._subject.index and roots._outside is not None:
            roots = roots._outside
        index = roots._subject.index.get(name_of_node) if isinstance(key, str) else None
        if index is None or (roots is self and self._site.place in ("key", "while")):
            tell(self._unreadable(name_of_node, span))
            return None
        problem = roots._order_problem(index, name_of_node)
        if problem is not None:
            tell(Finding(*problem[:2], span, problem[2]))
            return None
        return roots._entry(index, name_of_node, name, steps, environment, tell)

    def _unreadable(self, name: str, span: Span) -> Finding:
        """There is no such node, or it is inside of a body and this is outside."""
        around = [self, *self._around()]
        own = self._subject.body
        if own is not None and name in self._subject.index:
            message = f"'{name}' is inside of '{own.name}', and the {self._site.place} is asked outside of its body."
            hint = "Make the key of the item." if self._site.place == "key" else "Read carry: what the body gives."
            return Finding("ref.inside-map", message, span, hint)
        for roots in around:
            holder = roots._subject.holder(name)
            if holder is not None:
                message = f"'{name}' is inside of '{holder.name}', and cannot be read outside of it."
                hint = f"Read {holder.result}: what its body gives."
                return Finding("ref.inside-map", message, span, hint)
        near = did_you_mean(name, [known for roots in around for known in roots._subject.index])
        if near is None and name in self._subject.trigger_ids:
            near = "It is a trigger; what it received is called trigger."
        return Finding("ref.unknown-node", f"There is no node '{name}'.", span, near)

    def _around(self) -> Iterator[SiteRoots]:
        roots = self._outside
        while roots is not None:
            yield roots
            roots = roots._outside

    def _order_problem(self, index: int, name: str) -> tuple[str, str, str | None] | None:
        """Why the node's result cannot be known here: code, message, hint."""
        here, paths = self._here, self._paths
        if here == END:
            return None
        if index == here:
            return "ref.self", f"The node '{name}' refers to itself.", "Its own output is not there before it has run."
        if paths is None or paths.is_before(index, here):
            return None
        if paths.is_before(here, index):
            own = self._name(here)
            message = f"'{name}' comes after '{own}', so it has not run yet."
            return "ref.downstream", message, "Refer to nodes before it, or reverse the edges."
        if self._is_loose(here):
            return None  # an edge is missing that was meant to be there, which has been told
        message = f"'{name}' is not before '{self._name(here)}': nothing says which of them runs first."
        hint = f"Add an edge from '{name}', or from a node after it, to '{self._name(here)}'."
        return "ref.not-upstream", message, hint

    def _is_loose(self, node: int) -> bool:
        assert self._paths is not None
        paths = self._paths
        return any(loose == node or paths.is_before(loose, node) for loose in self._subject.loose)

    def _name(self, node: int) -> str:
        entry = self._subject.nodes[node]
        return entry.id if entry is not None else f"node {node}"

    def _entry(
        self, index: int, node: str, name: Name, steps: tuple[Step, ...], environment: Environment, tell: Tell
    ) -> Start | None:
        """`nodes.ID`, and the step after it."""
        span = (name.span[0], steps[0].span[1])
        absent: Finding | None = None
        if ("nodes", node) not in environment.facts and self._paths is not None and not self._may_be_loose():
            unfinished = self._paths.may_be_unfinished(index, self._here)
            way = [] if unfinished else self._paths.way_without(index, self._here)
            if way is not None:
                rest = _fields(steps[1:]) or ".output"
                hint = f"Write nodes.{node}?{rest}, with ?? for a default, or use it only behind the same branch."
                message = self._unfinished(node) if unfinished else self._skipped(node, way)
                absent = Finding("ref.not-on-every-path", message, span, hint)
        key = constant_key(steps[1]) if len(steps) > 1 else None
        if key is None:
            return Start(OBJECT, 1, absent)
        if key not in _ENTRY:
            near = did_you_mean(str(key), _ENTRY) or f"Write nodes.{node}.output.{key}."
            message = f"There is no 'nodes.{node}.{key}', only output and error."
            tell(Finding("ref.unknown-name", message, (name.span[0], steps[1].span[1]), near))
            return None
        field = self._output(index, node, span) if key == "output" else self._error(index, node, name, steps)
        return Start(OBJECT, 1, absent, fields={str(key): field})

    def _failed(self, index: int) -> Answer:
        """Whether the node may have failed, and have been caught, when this place is reached."""
        if self._paths is not None and self._paths.may_be_unfinished(index, self._here):
            return "maybe"
        answer: Answer = "unknown" if self._paths is None else self._paths.failed(index, self._here)
        entry, ports = self._subject.nodes[index], self._subject.ports[index]
        # an edge by `error` goes before `on_error`; with several ports there is no going on
        if answer == "never" and entry is not None and entry.on_error == "continue" and len(ports or ("main",)) == 1:
            answer = "maybe" if self._paths is not None and not self._paths.has_error_edge(index) else "never"
        return answer

    def _output(self, index: int, node: str, span: Span) -> Start:
        """`nodes.ID.output`: null after a failure."""
        failed = self._failed(index)
        if failed == "always":
            return Start(NULL)
        if failed != "maybe":
            return Start(self._sources.output(index))
        message = f"'{node}' may have failed here, and then its output is null."
        hint = f"Write nodes.{node}.output?.… to get null then, or give a default with ??."
        null = Finding("type.maybe-null", message, span, hint, "warning")
        return Start(self._sources.output_or_null(index), null=null)

    def _error(self, index: int, node: str, name: Name, steps: tuple[Step, ...]) -> Start:
        """`nodes.ID.error`: there after a failure that was caught."""
        span = (name.span[0], steps[1].span[1])
        failed = self._failed(index)
        if failed in ("always", "unknown"):
            return Start(ERROR)
        if failed == "never":
            message = f"'nodes.{node}.error' is never there: no failure of '{node}' leads here."
            hint = f"Add an edge from '{node}' by port error, or set its on_error to continue."
            return Start(ERROR, absent=Finding("type.unknown-field", message, span, hint))
        message = (
            f"'nodes.{node}.error' is there only when '{node}' has failed, and this is reached also when it has not."
        )
        hint = f"Write nodes.{node}.error?.message, or ask has(nodes.{node}.error) first."
        return Start(ERROR, absent=Finding("ref.not-on-every-path", message, span, hint))

    def _may_be_loose(self) -> bool:
        if not self._subject.loose:
            return False
        return self._here == END or self._is_loose(self._here)

    def _unfinished(self, node: str) -> str:
        return f"'{node}' may not have finished when '{self._name(self._here)}' runs, which may be after a failure."

    def _skipped(self, node: str, way: Way) -> str:
        where = "the end" if self._here == END else f"'{self._name(self._here)}'"
        if not way:
            return f"'{node}' does not run on every path to {where}."
        turns = [f"'{self._name(at)}' exits by '{port}'" for at, port in way[-_SHOWN:]]
        before = "after other branches " if len(way) > _SHOWN else ""
        return f"'{node}' does not run on every path to {where}: not when {before}{' and '.join(turns)}."


def _fields(steps: Sequence[Step]) -> str:
    """The steps up to the first that is no field, as they are written."""
    text = ""
    for step in steps:
        if not isinstance(step, Field):
            break
        text += f"{'?.' if step.optional else '.'}{step.name}"
    return text
