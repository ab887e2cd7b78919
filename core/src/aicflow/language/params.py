"""Params as a node or trigger type takes them: values keep their JSON types, at validation and at run time alike.

A text of digits is a text, 1 is not true. What Python knows and JSON does not is read from its JSON form: times, UUIDs,
decimals, paths, enums and bytes from texts; tuples and sets from lists. As in JSON Schema, 2.0 is an integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from aicflow_language.template import Types
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aicflow.kernel.errors import NotFound, ParamsInvalid
from aicflow.kernel.node import NodeType
from aicflow.kernel.registry import Registry
from aicflow.kernel.trigger import TriggerType
from aicflow.kernel.values import dumps, loads, pointer

MOST_LISTED: Final = 50_000
"""A list of more problems than this is not made: it takes hundreds of megabytes."""
_MOST_PROBLEMS: Final = 10

type Location = tuple[str | int, ...]


@cache
def params_schema(cls: NodeType | TriggerType) -> dict[str, Any]:
    """The JSON Schema of a type's params: made once, to be read and never changed."""
    return cls.params_schema()


def with_input_schema(cls: TriggerType, params: Mapping[str, Any], input_schema: object) -> Mapping[str, Any]:
    """A trigger's params in which those that are marked `x-aicflow: {"default": "input_schema"}`, and left out, are the
    workflow's `input_schema`."""
    if not isinstance(input_schema, dict):
        return params
    fields = params_schema(cls).get("properties", {})
    marked = [name for name, field in fields.items() if (field.get("x-aicflow") or {}).get("default") == "input_schema"]
    return {**dict.fromkeys(marked, input_schema), **params} if marked else params


def params_schemas(registry: Registry) -> Types:
    """The schemas of the params of node types by their ids; None for a type that is not installed."""

    def schema_of(type_id: str) -> dict[str, Any] | None:
        try:
            return params_schema(registry.node(type_id).cls)
        except NotFound:
            return None

    return schema_of


def read_params[M: BaseModel](model: type[M], values: Mapping[str, Any]) -> M:
    """The values as the model. Raises ValidationError."""
    try:
        return model.model_validate(values, strict=True)  # most models need no more, and nothing is copied
    except ValidationError:
        text = dumps(values)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        if error.error_count() > MOST_LISTED:
            raise
        whole = _with_integers(values, error.errors(include_url=False, include_context=False))
        if whole is values:
            raise
    return model.model_validate_json(dumps(whole), strict=True)


def checked_params[M: BaseModel](model: type[M], values: Mapping[str, Any]) -> M:
    """The values as the model. Raises ParamsInvalid that lists what does not fit, never the values."""
    try:
        return read_params(model, values)
    except ValidationError as error:
        if error.error_count() > MOST_LISTED:
            raise ParamsInvalid(f"params: {error.error_count():,} values do not fit.") from None
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        places = [pointer(*_place(values, problem)) for problem in problems]
        pairs = zip(places[:_MOST_PROBLEMS], problems, strict=False)
        raise ParamsInvalid(
            "; ".join(f"params{place}: {problem['msg']}" for place, problem in pairs), pointer=places[0]
        ) from None
    except ValueError as error:
        raise ParamsInvalid(f"params: {error}") from None


def location_in(value: Any, loc: Location) -> Location:
    """The part of a location of pydantic's that exists: without the names of union members that it puts in."""
    found: list[str | int] = []
    for part in loc:
        if isinstance(value, Mapping):
            if part not in value:
                continue
        elif not isinstance(value, list | tuple) or not isinstance(part, int) or part >= len(value):
            continue
        value = value[part]
        found.append(part)
    return tuple(found)


def _place(values: Any, problem: ErrorDetails) -> Location:
    loc = problem["loc"]
    missing = loc[-1:] if problem["type"] == "missing" else ()
    return location_in(values, loc[: len(loc) - len(missing)]) + missing


def _with_integers(values: Mapping[str, Any], problems: Iterable[ErrorDetails]) -> Any:
    """A copy with integers where 2.0 was given for one; the values themselves where that was nowhere."""
    places = [
        location_in(values, problem["loc"])
        for problem in problems
        if problem["type"] == "int_type" and isinstance(problem["input"], float) and problem["input"].is_integer()
    ]
    if not places:
        return values
    changed = loads(dumps(values))
    for *way, last in filter(None, places):
        parent = changed
        for key in way:
            parent = parent[key]
        parent[last] = int(parent[last])
    return changed
