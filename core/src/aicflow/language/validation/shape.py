"""Reading the document's shape: every key known, every value of its kind. What can be read is checked further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aicflow_language.suggest import did_you_mean
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aicflow.kernel.document import BodyEntry, Edge, NodeEntry, Settings, TriggerEntry, WorkflowDocument
from aicflow.kernel.values import pointer
from aicflow.language.params import MOST_LISTED, location_in
from aicflow.language.plan import body_names
from aicflow.language.schema import check as check_schema
from aicflow.language.validation.called import BODIES
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.params import keys_of
from aicflow.language.validation.report import Report
from aicflow.language.validation.size import check_size
from aicflow.language.validation.subject import Body, Subject

MAX_NESTING = 3
"""How deep maps, repeats and groups may stand inside each other."""


def read_shape(subject: Subject, report: Report, limits: Limits) -> bool:
    """Fill the subject from its raw document. False when there is nothing to go on with."""
    raw = subject.raw
    if not check_size(raw, report, limits):
        return False
    try:
        document = WorkflowDocument.model_validate(raw)
    except ValidationError as error:
        if error.error_count() > MOST_LISTED:
            message = f"{error.error_count():,} keys and values do not fit the document."
            report.error("doc.schema", "", message, hint="See GET /api/v1/schema/workflow.")
            return False
        for problem in report.some(error.errors(include_url=False, include_input=False, include_context=False)):
            _tell(report, raw, problem)
        _read_parts(subject, raw)
        _limit_nesting(subject, report)
        return True
    subject.vars = document.vars
    _take(subject, document.nodes, document.edges)
    _limit_nesting(subject, report)
    subject.triggers = list(document.triggers)
    subject.settings = document.settings
    subject.input_schema = document.input_schema
    subject.output = document.output
    return True


def _take(subject: Subject, nodes: Sequence[NodeEntry], edges: Sequence[Edge]) -> None:
    """Fill the subject, and those of the bodies inside, from entries that have been read."""
    subject.nodes, subject.edges = list(nodes), list(edges)
    for i, entry in enumerate(nodes):
        if entry.body is not None:
            body = _body(subject, i, entry.type_id, entry.body)
            _take(body, entry.body.nodes, entry.body.edges)


def _body(subject: Subject, owner: int, kind: str, entry: BodyEntry | None) -> Subject:
    """A subject for the body of a node, still without nodes."""
    raw: Mapping[str, Any] = subject.raw["nodes"][owner][kind]
    body = subject.bodies[owner] = Subject(raw, subject.registry, subject.secret_names, subject.callees)
    body.body = Body(subject, owner, kind)
    body.homes, body.ids = subject.homes, subject.ids
    body.trigger_ids, body.vars = subject.trigger_ids, subject.vars
    body.output = entry.output if entry is not None else raw.get("output")
    own = body_names(entry) if entry is not None else _names(kind, raw)
    body.names = tuple(dict.fromkeys((*subject.names, *own)))
    return body


def _limit_nesting(subject: Subject, report: Report) -> None:
    """What is nested deeper is not looked at. Only outer maps may be isolated."""
    level = [subject]
    for _ in range(MAX_NESTING):
        level = [body for part in level for body in part.bodies.values()]
        for inner in (inner for part in level for inner in part.bodies.values()):
            if inner.raw.get("isolate") is True:
                message = "Only a map that is in no other body can have isolate: true."
                hint = "Leave it out, or call a workflow in its body: workflow.call."
                report.error("doc.schema", f"{inner.pointer()}/isolate", message, hint=hint)
    for part in level:
        for body in part.bodies.values():
            message = f"Nodes with a body are nested deeper than {MAX_NESTING} here."
            report.error("doc.too-deep", body.pointer(), message, hint="Call a workflow in its place: workflow.call.")
        part.bodies.clear()


def _names(kind: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that expressions in a body may use, when its entry could not be read."""
    name = raw.get("as", "item")
    return {"map": (name if isinstance(name, str) else "item", "index"), "repeat": ("carry", "index")}.get(kind, ())


def _read_body(subject: Subject, raw: Mapping[str, Any]) -> None:
    """Read nodes and edges each by itself."""
    subject.edges = [_read(Edge, entry) for entry in _list(raw.get("edges"))]
    for i, entry in enumerate(_list(raw.get("nodes"))):
        kind = next((one for one in BODIES if isinstance(entry, dict) and isinstance(entry.get(one), dict)), None)
        if kind is None:
            subject.nodes.append(_read(NodeEntry, entry))
            continue
        shell = {"nodes": [{"id": "_", "type": "_"}], "edges": []}  # what is inside is read by itself
        node = _read(NodeEntry, {**entry, kind: {**entry[kind], **shell}})
        subject.nodes.append(node)
        body = _body(subject, i, kind, None if node is None else node.body)
        _read_body(body, entry[kind])


def _read_parts(subject: Subject, raw: Mapping[str, Any]) -> None:
    """Read each part by itself, so that one wrong entry does not hide what is wrong with the others."""
    subject.vars = raw["vars"] if isinstance(raw.get("vars"), dict) else {}
    _read_body(subject, raw)
    subject.triggers = [_read(TriggerEntry, entry) for entry in _list(raw.get("triggers"))]
    subject.settings = _read(Settings, raw.get("settings", {})) or Settings()
    schema = raw.get("input_schema")
    subject.input_schema = schema if isinstance(schema, dict | bool) else None
    subject.output = raw.get("output")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read[M: BaseModel](model: type[M], value: Any) -> M | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _tell(report: Report, raw: Any, problem: ErrorDetails) -> None:
    loc = location_in(raw, problem["loc"])
    kind, message = problem["type"], problem["msg"]
    hint: str | None = None
    at = pointer(*loc)
    if kind == "extra_forbidden":
        known = list(dict.fromkeys(keys_of(WorkflowDocument, loc[:-1])))
        message = f"Unknown key {str(loc[-1])!r}."
        hint = did_you_mean(str(loc[-1]), known) or f"Known keys: {', '.join(known)}."
    elif kind == "missing":
        message = f"The key {str(problem['loc'][-1])!r} is missing."
        at = pointer(*location_in(raw, problem["loc"][:-1]))
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    elif loc == ("aicflow",):
        message = "The document's format version must be 1."
        hint = "Write `aicflow: 1`."
    report.error("doc.schema", at, message, hint=hint)


def check_schemas(subject: Subject, report: Report) -> None:
    """Every JSON Schema that the document declares must be one."""
    places: list[tuple[str, Any]] = [("/input_schema", subject.input_schema)] if subject.body is None else []
    places += [
        (subject.pointer("nodes", i, "output_schema"), node.output_schema)
        for i, node in enumerate(subject.nodes)
        if node is not None
    ]
    for at, schema in places:
        if schema is None or isinstance(schema, bool):
            continue
        for problem in check_schema(schema):
            subject.unusable_schemas.add(at)
            report.error("doc.schema", at + problem.pointer, problem.message)
