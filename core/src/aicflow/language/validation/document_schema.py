"""The JSON Schema of the workflow document, with the params of what is installed: for editors, and for whoever makes
documents. It says what validation says of shapes; what it cannot say (paths, types of references) validation does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.ids import MAX_ID_LENGTH
from aicflow.kernel.registry import Registry
from aicflow.language.validation.bodies import NOT_BESIDE
from aicflow.language.validation.called import BODIES

_PATTERN: Final = r"\$\{\{"
_REFERENCE: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": _PATTERN,
    "description": "A reference such as ${{ input.x }}",
}
_VALUES: Final = ("additionalProperties", "items", "contains", "unevaluatedItems", "unevaluatedProperties")
_NAMED: Final = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_TEXT_RULES: Final = ("pattern", "minLength", "maxLength", "format")


@dataclass(frozen=True, slots=True)
class _Type:
    """A node or trigger type in one version; the newest is also meant when a document names none."""

    type_id: str
    version: int
    newest: bool
    params: dict[str, Any]
    given: Collection[str] = ()
    """Params that the operator has set."""


def document_schema(registry: Registry) -> dict[str, Any]:
    """The document's schema. Any part of the params may be a reference instead of the value."""
    schema = WorkflowDocument.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = "urn:aicflow:schema:workflow"
    definitions = schema["$defs"]
    for entry in ("NodeEntry", "TriggerEntry"):
        definitions[entry]["properties"]["id"]["pattern"] = f"^[A-Za-z_][A-Za-z0-9_]{{0,{MAX_ID_LENGTH - 1}}}$"
    node = definitions["NodeEntry"]
    node["oneOf"] = [{"required": [kind]} for kind in ("type", *BODIES)]
    node["dependentSchemas"] = {
        kind: {"properties": dict.fromkeys(NOT_BESIDE if kind == "group" else (*NOT_BESIDE, "retry"), False)}
        for kind in BODIES
    }
    definitions["Map"]["properties"]["as"]["pattern"] = node["properties"]["id"]["pattern"]
    _narrow(definitions, "NodeEntry", list(_nodes(registry)))
    _narrow(definitions, "TriggerEntry", list(_triggers(registry)))
    return schema


def _nodes(registry: Registry) -> Iterator[_Type]:
    for newest in registry.nodes():
        if newest.type_id in BODIES:
            continue  # written as a key of its own
        for version in registry.versions(newest.type_id):
            node = registry.node(newest.type_id, version)
            given = node.setting.default_params
            yield _Type(node.type_id, version, version == newest.cls.version, node.cls.params_schema(), given)


def _triggers(registry: Registry) -> Iterator[_Type]:
    for trigger in registry.triggers():
        yield _Type(trigger.type_id, trigger.cls.version, True, trigger.cls.params_schema())


def _narrow(definitions: dict[str, Any], entry: str, types: list[_Type]) -> None:
    """Make the entry's `params` follow its `type` and `version`."""
    rules = []
    for one in types:
        name = f"params.{one.type_id}" if one.newest else f"params.{one.type_id}.{one.version}"
        local = one.params.pop("$defs", {})
        for key, value in local.items():
            definitions[f"{name}.{key}"] = _inside(value, name)
        params = _inside(one.params, name)
        required = [key for key in params.pop("required", ()) if key not in one.given]
        if required:
            params["required"] = required
        definitions[name] = params
        meant = {"type": {"const": one.type_id}, "version": {"const": one.version}}
        then: dict[str, Any] = {"properties": {"params": {"$ref": f"#/$defs/{name}"}}}
        if required:
            then["required"] = ["params"]
        named = ["type"] if one.newest else ["type", "version"]
        rules.append({"if": {"properties": meant, "required": named}, "then": then})
    if rules:
        definitions[entry]["properties"]["type"]["enum"] = sorted({one.type_id for one in types})
        definitions[entry]["allOf"] = rules


def _inside(schema: Any, prefix: str) -> Any:
    """The schema with references allowed for everything inside its values, and its own `$ref`s leading to where their
    targets were moved."""
    if not isinstance(schema, Mapping):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and value.startswith("#/$defs/"):
            out[key] = f"#/$defs/{prefix}.{value.removeprefix('#/$defs/')}"
        elif key in _NAMED and isinstance(value, Mapping):
            out[key] = {name: _or_reference(item, prefix) for name, item in value.items()}
        elif key == "prefixItems" and isinstance(value, list):
            out[key] = [_or_reference(item, prefix) for item in value]
        elif key in _LISTS and isinstance(value, list):
            # where a reference may stand, two alternatives may fit at once
            out["anyOf" if key == "oneOf" else key] = [_inside(item, prefix) for item in value]
        elif key in _VALUES and isinstance(value, Mapping):
            out[key] = _or_reference(value, prefix)
        elif key not in ("discriminator", "uniqueItems"):
            out[key] = value
    return out


def _or_reference(schema: Any, prefix: str) -> Any:
    """The schema of a value that may also be given as a reference. Written so that an editor's messages stay about the
    value where that can be."""
    if not isinstance(schema, Mapping) or not schema:
        return schema
    inner = _inside(schema, prefix)
    if _is_code(schema):
        return inner
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {*_TEXT_RULES, "enum", "const"}:
        return inner
    if isinstance(kind, str) and kind != "string" and not schema.keys() & {"enum", "const", "$ref", *_LISTS}:
        return {**inner, "type": [kind, "string"], "pattern": _PATTERN}
    told = {key: inner.pop(key) for key in ("title", "description", "default", "examples") if key in inner}
    return {**told, "anyOf": [inner, _REFERENCE]} if inner else told


def _is_code(schema: Mapping[str, Any]) -> bool:
    mark = schema.get("x-aicflow")
    return isinstance(mark, Mapping) and mark.get("kind") == "code"
