"""The kernel's marks for params in which secrets may be used. They hold for everything inside the value, and keep it
out of `repr`, which tracebacks and debuggers show."""

from __future__ import annotations

from pydantic import Field

__all__ = ["SECRETS", "SECRET_HEADERS"]

SECRETS = Field(json_schema_extra={"x-aicflow": {"secret": True}}, repr=False)
SECRET_HEADERS = Field(json_schema_extra={"x-aicflow": {"kind": "header", "secret": True}}, repr=False)
