"""How records become JSON: rules at their fields, from which the API's responses and OpenAPI document are made."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

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
Internal = Annotated[T, Field(exclude=True)]
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
