"""The kernel's marks for params that are not a single text: they hold for everything inside the value."""

from __future__ import annotations

from pydantic import Field

__all__ = ["SECRETS", "SECRET_HEADERS"]

SECRETS = Field(json_schema_extra={"x-aicflow": {"secret": True}}, repr=False)
SECRET_HEADERS = Field(json_schema_extra={"x-aicflow": {"kind": "header", "secret": True}}, repr=False)
