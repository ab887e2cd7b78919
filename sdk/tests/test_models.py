"""The SDK's models are those of the API: every field is compared with the OpenAPI document."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAliasType, get_args, get_origin

import pytest
from aicflow_sdk import ProblemDetail, models

SCHEMAS = json.loads((Path(__file__).parents[2] / "docs/openapi/openapi.json").read_text("utf-8"))["components"][
    "schemas"
]
MODELS = [
    value
    for value in vars(models).values()
    if dataclasses.is_dataclass(value)
    and value.__module__ == models.__name__
    and value not in (models.Page, models.Related)
]
NAMES = {
    "CreatedApiKey": "ApiKeyCreated", "Event": "StreamEvent", "ProblemDetail": "ProblemEntry", "Readiness": "Ready",
    "Validation": "ValidationResult",
}  # fmt: skip
OURS = {
    "Execution": {"output_included"},  # whether `output` came along
    "Issue": {"line", "column"},  # of the command line, for files
    "ProblemDetail": {"where"},  # `in`, of query and path parameters
    "Workflow": {"etag", "outcome"},  # a header; what `deploy` did
}
EMPTY_WITHOUT = {("Workflow", "issues"), ("Issue", "related")}
"""What the API leaves out rather than sending an empty list."""

type Shape = tuple[str, bool]
"""A type in words, and whether it may be null."""


def of_schema(schema: Mapping[str, Any]) -> Shape:
    if "anyOf" in schema:
        inner = [one for one in schema["anyOf"] if one != {"type": "null"}]
        assert len(inner) == 1, schema
        return of_schema(inner[0])[0], len(schema["anyOf"]) == 2
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return of_schema(SCHEMAS[name]) if "enum" in SCHEMAS[name] else (name, False)
    if "enum" in schema:
        return "|".join(schema["enum"]), False
    match schema.get("type"):
        case None:
            return "anything", False
        case "array":
            return f"list of {of_schema(schema['items'])[0]}", False
        case "object":
            values = schema.get("additionalProperties")
            return f"object of {'anything' if values in (True, None) else of_schema(values)[0]}", False
        case name:
            return schema.get("format", name), False


def of_hint(hint: Any) -> Shape:
    words = {str: "string", int: "integer", bool: "boolean", datetime: "date-time", Any: "anything"}
    if isinstance(hint, TypeAliasType):
        return of_hint(hint.__value__)
    if hint in words:
        return words[hint], False
    if hint is models.Related:
        return "object of string", False
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return NAMES.get(hint.__name__, hint.__name__), False
    arguments = get_args(hint)
    if isinstance(hint, types.UnionType):
        inner = [one for one in arguments if one is not type(None)]
        return of_hint(inner[0])[0], len(inner) < len(arguments)
    if get_origin(hint) is typing.Literal:
        return "|".join(arguments), False
    if get_origin(hint) is tuple:
        return f"list of {of_hint(arguments[0])[0]}", False
    assert get_origin(hint) is Mapping, hint
    return f"object of {of_hint(arguments[1])[0]}", False


@pytest.mark.parametrize("model", [*MODELS, ProblemDetail], ids=lambda model: model.__name__)
def test_every_field_is_that_of_the_api(model: type) -> None:
    name = model.__name__
    schema = SCHEMAS[NAMES.get(name, name)]
    hints = typing.get_type_hints(model)
    for ours in OURS.get(name, set()):
        del hints[ours]
    assert set(hints) == set(schema["properties"])
    for field, found in schema["properties"].items():
        words, nullable = of_schema(found)
        if (name, field) in EMPTY_WITHOUT:
            nullable = False
        got = of_hint(hints[field])
        assert got[0] == words, field
        assert got[1] or not nullable, f"{field} may be null"


def test_what_the_api_may_leave_out_has_a_default() -> None:
    for model in MODELS:
        required = set(SCHEMAS[NAMES.get(model.__name__, model.__name__)].get("required", ()))
        for field in dataclasses.fields(model):
            has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            assert has_default or field.name in required, f"{model.__name__}.{field.name}"
