"""Types that tell the kernel how a param takes references: as code, in a URL, in a header, or with secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Code = Annotated[str, Field(json_schema_extra={"x-aicflow": {"kind": "code"}})]
"""Source code: never interpolated; data reaches it through another param."""

Url = Annotated[str, Field(json_schema_extra={"x-aicflow": {"kind": "url"}})]
"""A URL: interpolated text is percent-encoded by its position."""

HeaderText = Annotated[str, Field(json_schema_extra={"x-aicflow": {"kind": "header"}})]
"""A header value: line breaks never get in."""

SecretText = Annotated[str, Field(json_schema_extra={"x-aicflow": {"secret": True}})]
"""Text in which `secrets.NAME` may be used."""

SecretHeaderText = Annotated[str, Field(json_schema_extra={"x-aicflow": {"kind": "header", "secret": True}})]
"""A header value in which `secrets.NAME` may be used."""
