"""A params field that may be left out but, when it is given, is never null."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.config import JsonDict

__all__ = ["may_be_left_out"]


def may_be_left_out(description: str) -> Any:
    """The field's default is None without being a valid value: look into `model_fields_set` for what was given."""
    return Field(default=None, validate_default=False, description=description, json_schema_extra=_without_default)


def _without_default(schema: JsonDict) -> None:
    schema.pop("default", None)
