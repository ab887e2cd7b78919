"""Schemas that a form can be made of, and what does not fit them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aicflow import JsonError, cut, pointer

MOST_BYTES: Final = 65_536
_LOCAL: Final = "#/$defs/"
_DEFS: Final = "$defs"


def problem_with(schema: Any) -> str | None:
    """Why no form can be made of the schema, or None."""
    if not isinstance(schema, dict):
        return "a schema is an object"
    try:
        size = len(json.dumps(schema))
    except (RecursionError, ValueError):
        return "it is nested too deeply"
    if size > MOST_BYTES:
        return f"it is larger than {MOST_BYTES:,} bytes"
    for key, value in _keywords(schema):
        # what lies elsewhere would be fetched, and the schema becomes a part of a larger one
        if key == "$ref" and not (isinstance(value, str) and value.startswith(_LOCAL)):
            return f"$ref must begin with {_LOCAL}"
        if key in ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor"):
            return f"{key} is not supported"
    from jsonschema_rs import ValidationError

    try:
        _validator(schema)
    except ValidationError as error:
        return f"it is no JSON Schema: {cut(error.message, 200)}"
    return None


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    stack = [schema]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                if key in ("const", "default", "enum", "examples"):
                    continue
                if isinstance(value, str):
                    yield key, value
                else:
                    stack.append(value)
        elif isinstance(one, list):
            stack.extend(one)


def _validator(schema: Mapping[str, Any]) -> Any:
    from jsonschema_rs import Draft202012Validator, RegexOptions

    return Draft202012Validator(dict(schema), validate_formats=True, pattern_options=RegexOptions())  # linear patterns


def misfits(schema: Mapping[str, Any], value: Any) -> list[tuple[str, str]]:
    """What of the value does not fit, as (pointer, message), at most twenty."""
    found: list[tuple[str, str]] = []
    try:
        for error in _validator(schema).iter_errors(value):
            found.append((pointer(*error.instance_path), cut(error.message, 300)))
            if len(found) == 20:
                break
    except (JsonError, ValueError, RecursionError):
        return [("", "The value cannot be checked.")]
    return found


def hoisted(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema without its definitions, and these: as a part of a larger schema, references into them hold."""
    rest = {key: value for key, value in schema.items() if key != _DEFS}
    definitions = schema.get(_DEFS)
    return rest, {_DEFS: definitions} if isinstance(definitions, dict) else {}


def resolved(schema: Any, root: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema that a chain of references leads to, with what stands beside them; None for one that is not plain."""
    beside: dict[str, Any] = {}
    for _ in range(8):
        if not isinstance(schema, dict):
            return None
        beside = {**schema, **beside}
        name = beside.pop("$ref", None)
        if name is None:
            return beside
        schema = root.get(_DEFS, {}).get(str(name).removeprefix(_LOCAL))
    return None
