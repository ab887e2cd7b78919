"""Nodes, triggers and edges: ids, types, ports, and the graph they make."""

from __future__ import annotations

from aicflow_language.suggest import did_you_mean

from aicflow.kernel.document import NodeEntry
from aicflow.kernel.errors import NotFound
from aicflow.kernel.graph import Graph
from aicflow.kernel.ids import MAX_ID_LENGTH, is_identifier
from aicflow.kernel.issues import Related
from aicflow.kernel.registry import RegisteredNode
from aicflow.kernel.values import pointer
from aicflow.language.validation.bodies import check_body
from aicflow.language.validation.called import BODIES
from aicflow.language.validation.cycles import cycles
from aicflow.language.validation.report import Report
from aicflow.language.validation.subject import Subject
from aicflow.texts import cut


def check_entries(subject: Subject, report: Report) -> None:
    """Ids and types of nodes and triggers."""
    if subject.body is None and subject.raw.get("nodes") == []:
        report.error("graph.empty", "/nodes", "The workflow has no nodes.", hint="Add at least one.")
    _check_ids(subject, report)
    if subject.body is not None:
        check_body(subject, report)
    for i, node in enumerate(subject.nodes):
        registered = None
        if node is not None:
            at = subject.pointer("nodes", i)
            if node.type in BODIES:
                hint = f"Write `{node.type}:` with its nodes in place of `type: {node.type}`."
                report.error("doc.schema", f"{at}/type", f"A {node.type} has a body of nodes.", hint=hint)
            try:
                registered = subject.registry.node(node.type_id, node.version if node.body is None else None)
            except NotFound as error:
                _unknown_type(report, at, node.version is not None, node.type_id, subject, error)
        subject.types.append(registered)
        subject.ports.append(_ports(node, registered))
    for i, trigger in enumerate(subject.triggers):
        found = None
        if trigger is not None:
            try:
                found = subject.registry.trigger(trigger.type, trigger.version)
            except NotFound as error:
                at = pointer("triggers", i, "type")
                report.error("node.unknown-type", at, error.message, hint=error.hint)
        subject.trigger_types.append(found)


def _ports(node: NodeEntry | None, registered: RegisteredNode | None) -> tuple[str, ...] | None:
    if node is None or registered is None:
        return None
    try:
        return registered.cls.ports_for(node.type_params)
    except Exception:  # params of the wrong shape have their own issues
        return None


def _unknown_type(report: Report, at: str, versioned: bool, type_id: str, subject: Subject, error: NotFound) -> None:
    if versioned and subject.registry.versions(type_id):
        report.error("node.unknown-version", f"{at}/version", error.message, hint=error.hint)
    else:
        report.error("node.unknown-type", f"{at}/type", error.message, hint=error.hint)


def _check_ids(subject: Subject, report: Report) -> None:
    seen = subject.ids
    tables = {"triggers": subject.trigger_ids, "nodes": subject.index}
    for kind, table in tables.items():
        entries = subject.raw.get(kind) if kind == "nodes" or subject.body is None else None
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            name = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not name:
                continue  # the shape says so already
            at = subject.pointer(kind, i, "id")
            if not is_identifier(name):
                report.error(
                    "node.bad-id",
                    at,
                    f"The id {cut(name, 80)!r} cannot be used.",
                    hint=f"Use letters, digits and _, not beginning with a digit, at most {MAX_ID_LENGTH}.",
                )
            if name in seen:
                related = [Related(seen[name], "The first one.")]
                report.error("node.duplicate-id", at, f"The id {name!r} is used twice.", related=related)
            else:
                seen[name] = at
                table[name] = i
                if kind == "nodes":
                    subject.homes[name] = subject


def check_graph(subject: Subject, report: Report) -> None:
    """Edges join nodes that exist by ports that exist, and make no cycle."""
    edges: list[tuple[int, str, int]] = []
    seen: dict[tuple[int, str, int], int] = {}
    for i, edge in enumerate(subject.edges):
        if edge is None:
            continue
        source = _end(subject, report, i, "from", edge.source)
        target = _end(subject, report, i, "to", edge.target)
        if source is None or target is None:
            if target is not None:
                subject.loose.add(target)
            continue
        _check_port(subject, report, i, source, edge.port)
        key = (source, edge.port, target)
        if key in seen:
            report.warning("edge.duplicate", subject.pointer("edges", i), "Duplicate edge; the second has no effect.")
            continue
        seen[key] = i
        edges.append(key)
    always = {i for i, node in enumerate(subject.nodes) if node is not None and node.run == "always"}
    _check_continue(subject, report, {source for source, port, to in edges if port == "error" and to not in always})
    for i in sorted(always - {target for _, _, target in edges} - subject.loose):
        report.error(
            "node.always-first",
            subject.pointer("nodes", i, "run"),
            "A node that always runs needs an edge into it, or it would run first.",
            hint="Add an edge from each node after which it must run.",
        )
    names = _names(subject)
    closing = cycles(len(names), edges)
    for place, cycle in closing.items():
        _tell_cycle(report, names, subject.pointer("edges", seen[edges[place]]), cycle)
    # what else is wrong on the ways of the graph is told as if the edges that close a cycle were removed
    subject.graph = Graph.build(names, [edge for place, edge in enumerate(edges) if place not in closing], always)


def _names(subject: Subject) -> list[str]:
    by_index = {i: name for name, i in subject.index.items()}
    return [by_index.get(i, f"(node {i})") for i in range(len(subject.nodes))]


def _end(subject: Subject, report: Report, i: int, end: str, name: str) -> int | None:
    index = subject.index.get(name)
    if index is not None:
        return index
    at = subject.pointer("edges", i, end)
    if name in subject.trigger_ids:
        if end == "to":
            report.error("edge.into-trigger", at, f"{name!r} is a trigger; nothing leads into a trigger.")
        else:
            report.error(
                "edge.unknown-node",
                at,
                f"{name!r} is a trigger, not a node.",
                hint="Triggers start every node without incoming edges; leave this edge out.",
            )
        return None
    if name not in subject.homes:
        report.error("edge.unknown-node", at, f"There is no node {name!r}.", hint=did_you_mean(name, subject.index))
        return None
    around = subject.holder(name)
    if around is not None:
        message, hint = f"{name!r} is inside of {around.name!r}", f"Lead the edge {end} {around.name!r} itself."
    elif subject.body is not None:
        message, hint = f"{name!r} is outside of {subject.body.name!r}", "Leave this edge out; expressions may read it."
    report.error("edge.unknown-node", at, f"{message}, and edges do not cross that border.", hint=hint)
    return None


def _check_port(subject: Subject, report: Report, i: int, source: int, port: str) -> None:
    node, ports = subject.nodes[source], subject.ports[source]
    if node is None or ports is None or port == "error" or port in ports:
        return
    known = [*ports, "error"]
    written = subject.edges[i] is not None and "port" in subject.edges[i].model_fields_set  # type: ignore[union-attr]
    hint = did_you_mean(port, known) or f"Its ports: {', '.join(known)}."
    message = (
        f"{node.id!r} ({node.type_id}) has no port {port!r}."
        if written
        else f"{node.id!r} ({node.type_id}) has no port 'main', so the edge must say by which port it leaves."
    )
    report.error("edge.unknown-port", subject.pointer("edges", i, *(("port",) if written else ())), message, hint=hint)


def _check_continue(subject: Subject, report: Report, caught: set[int]) -> None:
    """After a failure there must be one way on. Edges by `error` go before `on_error`."""
    for i, (node, ports) in enumerate(zip(subject.nodes, subject.ports, strict=True)):
        if node is None or node.on_error != "continue" or ports is None or len(ports) == 1 or i in caught:
            continue
        report.error(
            "node.continue-port",
            subject.pointer("nodes", i, "on_error"),
            f"{node.id!r} has several ports ({', '.join(ports)}); on_error: continue does not say which one to take.",
            hint=f"Leave on_error out, and add an edge from {node.id!r} by port 'error'.",
        )


def _tell_cycle(report: Report, names: list[str], at: str, cycle: list[int]) -> None:
    """Point at the edge that closes it."""
    way = [names[node] for node in cycle[:20]] + ["…" if len(cycle) > 20 else names[cycle[0]]]
    report.error(
        "graph.cycle",
        at,
        f"The edges form a cycle: {' → '.join(way)}.",
        hint="Remove one of its edges. Use retry to repeat a node, or workflow.call to repeat a part, up to "
        "AICFLOW_MAX_CALL_DEPTH calls deep (100).",
    )
