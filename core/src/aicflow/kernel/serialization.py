"""How records become JSON: rules at their fields, from which the API's responses and OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from aicflow.kernel.clock import iso

_DATE_TIME = WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization")

Instant = Annotated[float, PlainSerializer(iso), _DATE_TIME]
"""Seconds since 1970 UTC; in JSON RFC 3339 text."""
Timestamp = Annotated[str, _DATE_TIME]
"""RFC 3339 text."""
T = TypeVar("T")
_EXCLUDED = Field(exclude=True)
Internal = Annotated[T, _EXCLUDED]
"""What no caller of the API sees."""


class Record:
    """Base of dataclasses that the API shows. Fields named in `may_be_absent` are left out of some responses."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    may_be_absent: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema: dict[str, Any] = handler.resolve_ref_schema(handler(core_schema))
        schema["required"] = [name for name in schema["properties"] if name not in cls.may_be_absent]
        for field in schema["properties"].values():
            field.pop("default", None)
        return schema


def shower(record: type) -> Callable[[Any], dict[str, Any]]:
    """What turns records of this type into JSON objects by the rules at their fields, one level deep: values that are
    of any size are taken as they are. pydantic's own serializer takes five times as long for records of this size."""
    hints = get_type_hints(record, include_extras=True)
    names = [field.name for field in fields(record) if _EXCLUDED not in getattr(hints[field.name], "__metadata__", ())]
    instants = [name for name in names if hints[name] in (Instant, Instant | None)]
    values = attrgetter(*names)

    def show(value: Any) -> dict[str, Any]:
        out = dict(zip(names, values(value), strict=True))
        for name in instants:
            if (instant := out[name]) is not None:
                out[name] = iso(instant)
        return out

    return show
