"""From a JSON Schema to the fields of a form, and from what was typed into them to a value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aicflow import JsonError, cut, json_equal, json_type, pointer, read_json

from aicflow_forms.schemas import resolved

type Kind = Literal["text", "area", "number", "flag", "choice", "choices", "json", "group"]
type Typed = Mapping[str, Sequence[str]]
"""What was typed, by the names of the fields."""

_MOST_FIELDS: Final = 100
_DEEPEST: Final = 3
_TYPES: Final = {"email": "email", "uri": "url", "date": "date"}
_UNUSUAL: Final = frozenset(
    ("allOf", "anyOf", "dependentRequired", "dependentSchemas", "else", "if", "not", "patternProperties", "then")
)
_NUMBER: Final = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_NO: Final = frozenset(("", "0", "false", "no", "off"))


@dataclass(frozen=True, slots=True)
class Field:
    """One field, or a group of them. `name` is what a sender calls it, `pointer` where its value goes; `options` are
    (text, value, label)."""

    kind: Kind
    name: str
    pointer: str
    label: str
    help: str = ""
    required: bool = False
    input_type: str = "text"
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[tuple[str, Any, str]] = ()
    default: Any = None
    children: Sequence[Field] = ()
    whole: bool = False


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of a form for the schema. What has no field of its own is written as JSON, and so is all of a schema
    that would need too many."""
    plain = resolved(schema, schema)
    if plain is not None and _is_group(plain):
        fields = _children(plain, schema, (), 0, True)
        if sum(1 for _ in _flat(fields)) <= _MOST_FIELDS:
            return fields
    else:
        one = _field(schema, schema, ("answer",), 0, required=True, name="answer", at="")
        if one.kind != "group":
            return [one]
    return [_json(plain or {}, "answer", "", "Answer", required=True)]


def _is_group(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" and bool(schema.get("properties")) and not _UNUSUAL & schema.keys()


def _flat(fields: Sequence[Field]) -> Iterator[Field]:
    for one in fields:
        yield one
        yield from _flat(one.children)


def _children(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...], depth: int, needed: bool
) -> list[Field]:
    required = schema.get("required", ()) if needed else ()  # in a group that may be left out, no field must be filled
    return [
        _field(part, root, (*path, key), depth + 1, required=key in required)
        for key, part in schema["properties"].items()
    ]


def _field(
    part: Any,
    root: Mapping[str, Any],
    path: tuple[str, ...],
    depth: int,
    *,
    required: bool,
    name: str | None = None,
    at: str | None = None,
) -> Field:
    at = pointer(*path) if at is None else at
    name = at[1:] if name is None else name
    schema = resolved(part, root)
    label = str((schema or {}).get("title") or path[-1].replace("_", " ").capitalize())
    if schema is None:
        return _json({}, name, at, label, required)
    told: dict[str, Any] = {
        "label": label,
        "help": str(schema.get("description") or ""),
        "required": required,
        "default": schema.get("default"),
    }
    if (options := _options(schema)) is not None:
        return Field("choice", name, at, options=options, **told)
    if _UNUSUAL & schema.keys() or "oneOf" in schema:
        return _json(schema, name, at, label, required)
    match schema.get("type"):
        case "boolean":
            return Field("flag", name, at, **told)
        case "integer" | "number" as kind:
            step = "1" if kind == "integer" else "any"
            given = {"min": schema.get("minimum"), "max": schema.get("maximum")}
            attributes = {key: str(value) for key, value in given.items() if json_type(value) in ("integer", "number")}
            return Field("number", name, at, input_type="number", attributes={"step": step, **attributes}, **told)
        case "string":
            given = {"minlength": schema.get("minLength"), "maxlength": schema.get("maxLength")}
            attributes = {key: str(value) for key, value in given.items() if json_type(value) == "integer"}
            long = schema.get("format") == "textarea" or (
                "format" not in schema and isinstance(schema.get("maxLength"), int) and schema["maxLength"] > 200
            )
            input_type = _TYPES.get(str(schema.get("format")), "text")
            if schema.get("format") == "date-time":
                attributes["placeholder"] = "2027-01-31T09:00:00Z"
            return Field("area" if long else "text", name, at, input_type=input_type, attributes=attributes, **told)
        case "array":
            items = resolved(schema.get("items"), root)
            options = _options(items) if items is not None else None
            if options is not None and "prefixItems" not in schema:
                return Field("choices", name, at, options=options, **told)
        case "object" if _is_group(schema) and depth < _DEEPEST and path != ("answer",):
            return Field("group", name, at, children=_children(schema, root, path, depth, required), **told)
    return _json(schema, name, at, label, required)


def _json(schema: Mapping[str, Any], name: str, at: str, label: str, required: bool) -> Field:
    told = str(schema.get("description") or "")
    help = f"{told} Written as JSON.".strip()
    return Field("json", name, at, label, help, required, default=schema.get("default"), whole=not at)


def _options(schema: Mapping[str, Any]) -> list[tuple[str, Any, str]] | None:
    """The values that can be chosen, when the schema lists them."""
    listed = schema.get("enum")
    if isinstance(listed, list) and listed:
        values = [(value, None) for value in listed]
    elif isinstance(each := schema.get("oneOf"), list) and each and all(_is_constant(one) for one in each):
        values = [(one["const"], one.get("title")) for one in each]
    else:
        return None
    if any(isinstance(value, dict | list) for value, _ in values):
        return None
    return [(_text(value), value, str(title) if title else _text(value)) for value, title in values]


def _is_constant(schema: Any) -> bool:
    return isinstance(schema, dict) and "const" in schema and schema.keys() <= {"const", "title", "description"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_ABSENT: Final = object()


def read_form(fields: Sequence[Field], typed: Typed) -> tuple[Any, dict[str, str]]:
    """The value that was typed, and what cannot be read, as a message by pointer."""
    errors: dict[str, str] = {}
    if len(fields) == 1 and not fields[0].pointer:
        value = _read(fields[0], typed, errors)
        return (None if value is _ABSENT else value), errors
    return _read_group(fields, typed, errors), errors


def _read_group(fields: Sequence[Field], typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    found = {one.pointer: _read(one, typed, errors) for one in fields}
    keys = {one.pointer: _last(one.pointer) for one in fields}
    return {keys[at]: value for at, value in found.items() if value is not _ABSENT}


def _last(at: str) -> str:
    return at.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _read(one: Field, typed: Typed, errors: dict[str, str]) -> Any:
    given = [text.replace("\r\n", "\n") for text in typed.get(one.name, ())]
    text = given[-1] if given else ""
    value: Any = _ABSENT
    match one.kind:
        case "group":
            inner = _read_group(one.children, typed, errors)
            return inner if one.required or any(part not in (False, []) for part in inner.values()) else _ABSENT
        case "flag":
            return text.lower() not in _NO
        case "choices":
            by_text = {shown: value for shown, value, _ in one.options}
            if all(shown in by_text for shown in given):
                return [by_text[shown] for shown in given]
            errors[one.pointer] = "Choose from the options."
        case _ if not text.strip():
            if one.required:
                errors[one.pointer] = "This is required."
        case "text" | "area":
            value = text
        case "number":
            if (value := _number(text.strip())) is _ABSENT:
                errors[one.pointer] = "Enter a number, such as 12 or 12.5."
        case "choice":
            value = next((value for shown, value, _ in one.options if shown == text), _ABSENT)
            if value is _ABSENT:
                errors[one.pointer] = "Choose one of the options."
        case _:
            try:
                value = read_json(text)
            except (JsonError, ValueError, RecursionError) as error:
                errors[one.pointer] = f"This is not JSON: {cut(str(error), 200)}"
    return value


def _number(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return _ABSENT
    if "." not in text and "e" not in text.lower():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else _ABSENT


def typed_from(fields: Sequence[Field]) -> dict[str, list[str]]:
    """What stands in an untouched form."""
    typed: dict[str, list[str]] = {}
    for one in _flat(fields):
        default = one.default
        if default is None or one.kind == "group":
            continue
        if one.kind == "flag":
            typed[one.name] = ["true"] if default is True else []
        elif one.kind == "choices":
            chosen = default if isinstance(default, list) else []
            typed[one.name] = [text for text, value, _ in one.options if any(json_equal(value, d) for d in chosen)]
        else:
            typed[one.name] = [json.dumps(default, ensure_ascii=False) if one.kind == "json" else _text(default)]
    return typed
