"""The JSON Schema of the workflow document, with the params of what is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.registry import Registry

__all__ = ["document_schema"]

_REFERENCE: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"\$\{\{",
    "description": "A reference such as ${{ input.x }}",
}


def document_schema(registry: Registry) -> dict[str, Any]:
    """The document's schema. Any part of a node's params may be a reference instead of the value."""
    schema = WorkflowDocument.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = "urn:aicflow:schema:workflow"
    definitions = schema["$defs"]
    nodes = ((node.type_id, node.cls.params_schema()) for node in registry.nodes())
    triggers = ((trigger.type_id, trigger.cls.params_schema()) for trigger in registry.triggers())
    _narrow(definitions, "NodeEntry", nodes, references=True)
    _narrow(definitions, "TriggerEntry", triggers, references=False)
    return schema


def _narrow(
    definitions: dict[str, Any], entry: str, types: Iterable[tuple[str, dict[str, Any]]], *, references: bool
) -> None:
    """Make the entry's `params` follow its `type`."""
    rules = []
    names = []
    for type_id, params in types:
        name = f"params.{type_id}"
        local = params.pop("$defs", {})
        for key, value in local.items():
            definitions[f"{name}.{key}"] = _moved(value, name, references)
        moved = _moved(params, name, references)
        moved.pop("required", None) if references else None  # default params may give them
        definitions[name] = moved
        names.append(type_id)
        rules.append(
            {
                "if": {"properties": {"type": {"const": type_id}}, "required": ["type"]},
                "then": {"properties": {"params": {"$ref": f"#/$defs/{name}"}}},
            }
        )
    if rules:
        definitions[entry]["properties"]["type"]["enum"] = names
        definitions[entry]["allOf"] = rules


def _moved(schema: Any, prefix: str, references: bool, *, top: bool = True) -> Any:
    """The schema with its local references pointing to where their targets were moved, and references allowed."""
    if isinstance(schema, bool):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and value.startswith("#/$defs/"):
            out[key] = f"#/$defs/{prefix}.{value.removeprefix('#/$defs/')}"
        elif key in ("properties", "patternProperties") and isinstance(value, dict):
            out[key] = {name: _moved(item, prefix, references, top=False) for name, item in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            out[key] = [_moved(item, prefix, False, top=True) for item in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _moved(value, prefix, references, top=False)
        else:
            out[key] = value
    if references and not top and out.get("type") != "string":
        return {"anyOf": [out, _REFERENCE]}
    return out
