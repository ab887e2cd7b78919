"""Reading the document's shape: every key known, every value of its kind. What can be read is checked further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_language.suggest import did_you_mean
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aicflow.kernel.document import Concurrency, Edge, NodeEntry, Retry, Settings, TriggerEntry, WorkflowDocument
from aicflow.kernel.values import pointer
from aicflow.language.params import MOST_LISTED, location_in
from aicflow.language.schema import check as check_schema
from aicflow.language.validation.limits import Limits
from aicflow.language.validation.report import Report
from aicflow.language.validation.size import check_size
from aicflow.language.validation.subject import Subject

__all__ = ["check_schemas", "read_shape"]

_PARTS: dict[str, type[BaseModel]] = {"nodes": NodeEntry, "edges": Edge, "triggers": TriggerEntry}


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
        return True
    subject.nodes = list(document.nodes)
    subject.edges = list(document.edges)
    subject.triggers = list(document.triggers)
    subject.settings = document.settings
    subject.vars = document.vars
    subject.input_schema = document.input_schema
    subject.output = document.output
    return True


def _read_parts(subject: Subject, raw: Mapping[str, Any]) -> None:
    """Read each part by itself, so that one wrong entry does not hide what is wrong with the others."""
    subject.nodes = [_read(NodeEntry, entry) for entry in _list(raw.get("nodes"))]
    subject.edges = [_read(Edge, entry) for entry in _list(raw.get("edges"))]
    subject.triggers = [_read(TriggerEntry, entry) for entry in _list(raw.get("triggers"))]
    subject.settings = _read(Settings, raw.get("settings", {})) or Settings()
    subject.vars = raw["vars"] if isinstance(raw.get("vars"), dict) else {}
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
        known = _known_keys(loc[:-1])
        message = f"Unknown key {str(loc[-1])!r}."
        hint = did_you_mean(str(loc[-1]), known) or f"Known keys: {', '.join(known)}."
    elif kind == "missing":
        message = f"The key {str(problem['loc'][-1])!r} is missing."
        at = pointer(*location_in(raw, problem["loc"][:-1]))
    elif loc == ("aicflow",):
        message = "The document's format version must be 1."
        hint = "Write `aicflow: 1`."
    report.error("doc.schema", at, message, hint=hint)


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at a place of the document."""
    model: type[BaseModel] = WorkflowDocument
    if len(loc) >= 2 and loc[0] in _PARTS:
        model = Retry if loc[-1] == "retry" else _PARTS[str(loc[0])]
    elif loc[:1] == ("settings",):
        model = Concurrency if loc[-1] == "concurrency" else Settings
    return [field.alias or name for name, field in model.model_fields.items()]


def check_schemas(subject: Subject, report: Report) -> None:
    """Every JSON Schema that the document declares must be one."""
    places: list[tuple[str, Any]] = [("/input_schema", subject.input_schema)]
    places += [
        (pointer("nodes", i, "output_schema"), node.output_schema)
        for i, node in enumerate(subject.nodes)
        if node is not None
    ]
    for at, schema in places:
        if schema is None or isinstance(schema, bool):
            continue
        for problem in check_schema(schema):
            subject.unusable_schemas.add(at)
            report.error("doc.schema", at + problem.pointer, problem.message)
