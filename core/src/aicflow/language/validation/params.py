"""Params: every `${{ }}` compiles, and what is written down fits the type's model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, get_args

from aicflow_language.suggest import did_you_mean
from aicflow_language.template import Template, compile_template
from pydantic import BaseModel, ValidationError

from aicflow.kernel.issues import Issue
from aicflow.kernel.node import NodeType, Params
from aicflow.kernel.trigger import TriggerType
from aicflow.kernel.values import pointer
from aicflow.language.params import (
    MOST_LISTED,
    Location,
    location_in,
    params_schema,
    params_schemas,
    read_params,
    with_input_schema,
)
from aicflow.language.validation.report import Report
from aicflow.language.validation.subject import Body, Site, Subject


def check_params(subject: Subject, report: Report) -> None:
    """Params of all nodes and triggers whose type is known."""
    types = params_schemas(subject.registry)
    for i, node in enumerate(subject.nodes):
        registered = subject.types[i]
        if node is None:
            continue
        params = node.type_params
        inside = node.type_id if node.body is not None else "params" if "params" in node.model_fields_set else None
        at = subject.pointer("nodes", i, *((inside,) if inside else ()))
        if registered is None:
            _add_site(subject, report, Site("node", at, compile_template(params, names=subject.names), i))
            continue
        schema = params_schema(registered.cls)
        template = compile_template(params, schema, types, subject.names)
        _add_site(subject, report, Site("node", at, template, i, schema))
        given = {**registered.setting.default_params, **params}
        _check(report, at, registered.cls, given, params, template)
    for i, trigger in enumerate(subject.triggers):
        found = subject.trigger_types[i]
        if trigger is None or found is None:
            continue
        at = pointer("triggers", i, *(("params",) if "params" in trigger.model_fields_set else ()))
        schema = params_schema(found.cls)
        template = compile_template(trigger.params, schema)
        _add_site(subject, report, Site("trigger-params", at, template, i, schema))
        filled = with_input_schema(found.cls, trigger.params, subject.input_schema)
        _check(report, at, found.cls, filled, filled, template)


def check_templates(subject: Subject, report: Report) -> None:
    """Templates outside params: the output, the inputs of triggers, the concurrency key."""
    if subject.output is not None:
        template = compile_template(subject.output, names=subject.names)
        _add_site(subject, report, Site("output", subject.pointer("output"), template))
    if subject.body is not None:
        _check_rule(subject, subject.body, report)
        return
    for i, trigger in enumerate(subject.triggers):
        if trigger is not None and "input" in trigger.model_fields_set:
            schema = subject.input_schema if isinstance(subject.input_schema, dict) else None
            at = pointer("triggers", i, "input")
            _add_site(subject, report, Site("trigger", at, compile_template(trigger.input), i, schema))
    rule = subject.settings.concurrency
    if rule is not None:
        at = "/settings/concurrency/key"
        _add_site(subject, report, Site("concurrency", at, compile_template(rule.key)))
    if subject.settings.subject is not None:
        _add_site(subject, report, Site("subject", "/settings/subject", compile_template(subject.settings.subject)))


def _check_rule(subject: Subject, body: Body, report: Report) -> None:
    """The `key` of a map, the `while` of a repeat."""
    owner = body.outer.nodes[body.owner]
    if owner is None or (owner.map is None and owner.repeat is None):
        return
    key: Literal["key", "while"] = "key" if owner.map is not None else "while"
    rule = owner.map.key if owner.map is not None else owner.repeat.while_ if owner.repeat is not None else None
    template, at = compile_template(rule, names=subject.names), subject.pointer(key)
    _add_site(subject, report, Site(key, at, template))
    if key == "while" and template.is_static and not isinstance(rule, bool):
        report.error("param.type", at, "`while` must be true or false.", hint="Write a condition: ${{ carry.more }}.")
    elif key == "key" and template.is_static and rule is not None:
        hint = "Write what differs: ${{ item.id }}; or leave it out, to tell items apart by their index."
        report.error("param.invalid", at, "The key is the same for every item.", hint=hint)


def _add_site(subject: Subject, report: Report, site: Site) -> None:
    template = site.template
    for notice in template.notices:
        at = site.pointer + notice.pointer
        report.warning(notice.code, at, notice.message, hint=notice.hint, span=notice.span)
    if template.is_static:
        return
    subject.sites.append(site)
    for problem in template.problems:
        # a span counts the characters of a value, and a key is none
        span = None if problem.code == "template.key" else problem.span
        report.error(problem.code, site.pointer + problem.pointer, problem.message, hint=problem.hint, span=span)


def _check(
    report: Report,
    at: str,
    cls: NodeType | TriggerType,
    given: Mapping[str, Any],
    written: Mapping[str, Any],
    template: Template,
) -> None:
    """What is written down against the model; what a reference will give is left to the types check."""
    holes = {expression.path for expression in template.expressions}
    checked = _with_holes(given, holes) if holes else given
    try:
        read_params(cls.params_model, checked)
    except ValidationError as error:
        if error.error_count() > MOST_LISTED:
            report.error("param.invalid", at, f"{error.error_count():,} keys and values do not fit the params.")
            return
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        if holes:
            problems = [found for found in problems if not _may_be_hole(found["type"], given, found["loc"], holes)]
        for found in report.some(problems):
            _tell(report, at, cls.params_model, given, found["loc"], found["type"], found["msg"])
    except Exception as error:  # a model's own validator may stumble over a hole
        if not holes:
            report.error("param.invalid", at, f"{type(error).__name__}: {error}")
    ask(report, at, cls, partial(cls.check, written), bool(holes))


def ask(
    report: Report, at: str, cls: NodeType | TriggerType, check: Callable[[], Iterable[Issue]], has_holes: bool
) -> None:
    """What the type itself finds; one that stumbles over a hole has found nothing."""
    try:
        found = list(check())
    except Exception as error:
        if not has_holes:
            report.error("param.invalid", at, f"{cls.type_id} could not check its params: {error}")
        return
    for issue in found:
        report.add(
            Issue(issue.code, issue.severity, at + issue.pointer, issue.message, issue.hint, issue.span, issue.related)
        )


def _may_be_hole(kind: str, given: Mapping[str, Any], full: Location, holes: set[Location]) -> bool:
    """Whether a problem may come from a value that is not there yet."""
    loc = location_in(given, full)
    if kind == "missing" and len(loc) == len(full) - 1:
        return False  # keys are written down, whatever stands under them; members of unions are another matter
    if kind == "extra_forbidden" and len(loc) == len(full):
        return False
    return not loc or any(hole[: len(loc)] == loc or loc[: len(hole)] == hole for hole in holes)


def _tell(
    report: Report, at: str, model: type[Params], given: Mapping[str, Any], full: Location, kind: str, message: str
) -> None:
    loc = location_in(given, full)
    if kind == "missing":
        parent = location_in(given, full[:-1])
        report.error("param.missing", at + pointer(*parent), f"The param {str(full[-1])!r} is missing.")
    elif kind == "extra_forbidden":
        known = sorted(set(keys_of(model, loc[:-1])))
        hint = did_you_mean(str(loc[-1]), known) or (f"Known params: {', '.join(known)}." if known else None)
        report.error("param.unknown", at + pointer(*loc), f"There is no param {str(loc[-1])!r}.", hint=hint)
    elif kind.endswith(("_type", "_parsing")):
        report.error("param.type", at + pointer(*loc), message)
    else:
        report.error("param.invalid", at + pointer(*loc), message)


def keys_of(model: type[BaseModel], loc: Location) -> Iterator[str]:
    """Keys that the model takes at a place; of every member where a union may stand."""
    if not loc:
        for name, field in model.model_fields.items():
            yield field.alias or name
        return
    for name, field in model.model_fields.items():
        if loc[0] in (name, field.alias):
            for inner in _models(field.annotation):
                yield from keys_of(inner, tuple(part for part in loc[1:] if isinstance(part, str)))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _with_holes(value: Any, holes: set[Location]) -> Any:
    """A copy with null for every string with an expression, as its value is known only when the step runs."""
    prefixes = {hole[:length] for hole in holes for length in range(len(hole))}

    def copy(item: Any, path: Location) -> Any:
        if path in holes:
            return None
        if path not in prefixes:
            return item
        if isinstance(item, Mapping):
            return {key: copy(child, (*path, key)) for key, child in item.items()}
        return [copy(child, (*path, index)) for index, child in enumerate(item)]

    return copy(value, ())
