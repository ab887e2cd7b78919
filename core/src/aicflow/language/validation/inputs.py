"""What is put together against what was declared: inputs of triggers against `input_schema`, outputs of nodes against
their `output_schema`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aicflow.kernel.issues import Issue
from aicflow.kernel.values import escape_pointer, pointer, pointer_keys
from aicflow.language.schema import SchemaValidator, SchemaView, Verdict
from aicflow.language.validation.fits import Misfit, misfit
from aicflow.language.validation.report import Report
from aicflow.language.validation.sources import Sources
from aicflow.language.validation.subject import Site, Subject
from aicflow.language.validation.views import ANYTHING, STRING, constant, fixed_list, object_with

_MOST = 20

type _Path = tuple[str | int, ...]
type _Types = Mapping[_Path, SchemaView]


def check_inputs(sources: Sources, report: Report) -> None:
    """Inputs without expressions, and payloads that are the input as they are."""
    subject = sources.subject
    if sources.input is not ANYTHING:
        for index, trigger in enumerate(subject.triggers):
            if trigger is None:
                continue
            if "input" not in trigger.model_fields_set:
                _check_payload(index, sources, report)
            elif not _has_site(subject, index):
                _check_constant(index, trigger.input, sources, report)


def check_declared(sources: Sources, report: Report) -> None:
    """Declared outputs against what the nodes' types say of them. Raises TooCostly."""
    subject = sources.subject
    for index in range(len(subject.nodes)):
        declared = sources.declared_output(index)
        own = sources.own_output(index) if declared is not None else None
        if declared is None or own is None:
            continue
        found = sources.effort.compare(own, declared)
        if found.verdict is Verdict.NO:
            message = f"The node's output never fits this schema: it {found.reason}."
            report.error("type.mismatch", subject.pointer("nodes", index, "output_schema"), message)


def _has_site(subject: Subject, index: int) -> bool:
    return any(site.place == "trigger" and site.index == index for site in subject.sites)


def _check_payload(index: int, sources: Sources, report: Report) -> None:
    found = misfit(sources.payload(index), sources.input, sources.effort)
    if found is None:
        return
    doubt = "may not" if found.severity == "warning" else "does not"
    message = f"The trigger's payload is the input, and {doubt} fit input_schema: {found.clause}."
    hint = "Say with input: {…} how the input is made from trigger."
    report.add(Issue(found.code, found.severity, pointer("triggers", index), message, hint))


def _check_constant(index: int, value: Any, sources: Sources, report: Report) -> None:
    schema = sources.input.schema
    for violation in SchemaValidator(schema).validate(value, limit=_MOST):
        at = pointer("triggers", index, "input") + violation.pointer
        report.error("type.mismatch", at, f"The input does not fit input_schema: {violation.message}")


def check_mapped_input(subject: Subject, site: Site, types: _Types, sources: Sources, report: Report) -> None:
    """An input that is put together from expressions, as a whole: each by itself has been found to fit."""
    trigger = subject.triggers[site.index]
    if sources.input is ANYTHING or trigger is None:
        return
    found = misfit(type_of_template(trigger.input, types), sources.input, sources.effort)
    if found is not None:
        report.add(Issue(found.code, found.severity, site.pointer + written_part(trigger.input, found), _told(found)))


def _told(found: Misfit) -> str:
    doubt = "may not" if found.severity == "warning" else "does not"
    return f"The input {doubt} fit input_schema: {found.clause}."


def type_of_template(value: Any, types: _Types) -> SchemaView:
    """The type of a value with expressions, whose types are known by their paths."""
    on_the_way = {path[:length] for path in types for length in range(len(path))}
    return _type_of(value, (), types, on_the_way)


def _type_of(value: Any, path: _Path, types: _Types, on_the_way: Collection[_Path]) -> SchemaView:
    if path in types:
        return types[path]
    if path not in on_the_way:
        return STRING if isinstance(value, str) and "${{" in value else constant(value)  # with an escape
    if isinstance(value, dict):
        return object_with({key: _type_of(item, (*path, key), types, on_the_way) for key, item in value.items()})
    return fixed_list([_type_of(item, (*path, index), types, on_the_way) for index, item in enumerate(value)])


def written_part(value: Any, found: Misfit) -> str:
    """The part of the way to the misfit that is written down in the document."""
    way = ""
    for key in pointer_keys(found.path):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            break
        way += "/" + escape_pointer(key)
    return way
