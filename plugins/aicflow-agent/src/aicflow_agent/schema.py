"""JSON Schemas of structured answers: which are accepted, whether a value fits, how the node's output schema holds one.

Schemas come from workflow authors and values from models, so nothing here fetches a reference or runs a regular
expression that can stall: patterns go to pydantic's engine, which takes linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any

from aicflow import cut
from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError

_REFUSED = {
    "patternProperties": "The word patternProperties is not supported in an output schema",
    "$dynamicRef": "The word $dynamicRef is not supported in an output schema",
}
_AT_ROOT = ("oneOf", "anyOf", "allOf", "not", "$ref")
_MAX_NODES = 5000


def is_literal(value: Any) -> bool:
    """Whether a param as written holds no reference, so that it can be judged before it is resolved."""
    return all("${{" not in text for text in _texts(value))


def schema_problem(schema: Any) -> str | None:
    """Why this cannot be the schema of a structured answer, in a sentence, or None."""
    if not isinstance(schema, Mapping):
        return "An output schema is a JSON object"
    if schema.get("type") != "object":
        return "An output schema says type: object at its root; put a list or a plain value into a property"
    for key in _AT_ROOT:
        if key in schema:
            return f"The word {key} at the root is not understood by model providers; move it into a property"
    for count, node in enumerate(_objects(schema)):
        if count >= _MAX_NODES:
            return f"The output schema has more than {_MAX_NODES} objects"
        for key, why in _REFUSED.items():
            if key in node:
                return why
        ref = node.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            return f"The $ref {ref!r} points outside the schema; only references into it (#/$defs/…) are followed"
        pattern = node.get("pattern")
        if isinstance(pattern, str) and _pattern(pattern) is None:
            return f"The pattern {pattern!r} is not supported (no look-around, no back-references)"
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as BadSchema

    try:
        Draft202012Validator.check_schema(schema)
    except BadSchema as error:
        where = "/" + "/".join(str(part) for part in error.absolute_path)
        return f"It is not a JSON Schema: {where}: {cut(error.message, 300)}"
    return None


def misfit(schema: Mapping[str, Any], value: Any, redact: Callable[[str], str] = str) -> str | None:
    """Why a value does not fit a schema that `schema_problem` accepted: up to three places in a sentence, or None.
    `redact` takes secrets out of what is quoted, before it is cut."""
    from referencing.exceptions import Unresolvable

    validator = _validator()(schema, registry=_empty_registry())
    problems = []
    try:
        for error in validator.iter_errors(value):
            where = "/" + "/".join(str(part) for part in error.absolute_path)
            problems.append(f"at {where}: {cut(redact(error.message), 200)}")
            if len(problems) == 3:
                break
    except Unresolvable as error:
        return f"the schema's reference {error.ref!r} leads nowhere"
    return "; ".join(problems) or None


def embed(schema: Mapping[str, Any], output_schema: dict[str, Any]) -> dict[str, Any]:
    """The node's output schema in which `structured` has the given schema; references inside it still resolve."""
    properties = dict(output_schema["properties"])
    out = {**output_schema, "properties": properties}
    out["required"] = [*output_schema.get("required", ()), "structured"]
    if any("$ref" in node for node in _objects(schema)):
        name = "structured_output"
        out["$defs"] = {**output_schema.get("$defs", {}), name: _rebase(schema, f"#/$defs/{name}")}
        properties["structured"] = {"$ref": f"#/$defs/{name}"}
    else:
        properties["structured"] = {key: value for key, value in schema.items() if key != "$schema"}
    return out


def _rebase(value: Any, base: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: base + item[1:] if key == "$ref" and isinstance(item, str) else _rebase(item, base)
            for key, item in value.items()
            if key != "$schema"
        }
    return [_rebase(item, base) for item in value] if isinstance(value, list) else value


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@cache
def _pattern(pattern: str) -> TypeAdapter[str] | None:
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError:
        return None


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError as Misfit
    from jsonschema.validators import extend

    def pattern(_: Any, written: str, value: Any, __: Any) -> Iterator[Misfit]:
        adapter = _pattern(written)
        if not isinstance(value, str) or adapter is None:
            return
        try:
            adapter.validate_python(value)
        except ValidationError:
            yield Misfit(f"{value!r} does not match {written!r}")

    return extend(Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]


@cache
def _empty_registry() -> Any:
    from referencing import Registry

    return Registry()
