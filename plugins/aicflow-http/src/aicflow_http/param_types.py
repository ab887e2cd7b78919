"""What params are made of: header names that an author may write, and marks of values that may hold secrets."""

from __future__ import annotations

import re
from typing import Annotated

from aicflow import HeaderText
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

__all__ = ["SECRETS", "SECRET_HEADERS", "TOKEN", "HeaderName", "header_name"]

# The marks hold for everything inside the value, and keep it out of `repr`, which tracebacks and debuggers show.
SECRETS = Field(json_schema_extra={"x-aicflow": {"secret": True}}, repr=False)
SECRET_HEADERS = Field(json_schema_extra={"x-aicflow": {"kind": "header", "secret": True}}, repr=False)

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")

# They say how the message travels; a wrong value would let one request look like two.
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


def header_name(name: str) -> str:
    """The name, if it is one and not the connection's own business."""
    if not TOKEN.match(name):
        raise PydanticCustomError("header", "{name} is not a header name", {"name": repr(name[:80])})
    if name.lower() in _OURS or name.lower().startswith("proxy-"):
        raise PydanticCustomError("header", "the header {name} is set by the connection, not by you", {"name": name})
    return name


HeaderName = Annotated[HeaderText, AfterValidator(header_name)]
