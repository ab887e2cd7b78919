"""What a request can carry, as params."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from aicflow import HeaderText, Params
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from aicflow_http.param_types import SECRETS

__all__ = ["Body", "FormBody", "JsonBody", "MultipartBody", "Part", "RawBody"]

FormValue = str | int | float | bool | list[str | int | float | bool] | None


class JsonBody(Params):
    """Any JSON value."""

    type: Literal["json"]
    value: Annotated[Any, SECRETS]


class FormBody(Params):
    """Fields as `application/x-www-form-urlencoded`. A list repeats a field; null leaves it out."""

    type: Literal["form"]
    fields: Annotated[dict[str, FormValue], SECRETS]


class Part(Params):
    """One part of a multipart body: a field (`text`), or a file (`filename` with `text` or `base64`)."""

    name: Annotated[str, Field(min_length=1)]
    text: Annotated[str | None, SECRETS] = None
    base64: Annotated[str | None, Field(repr=False, description="The content, as base64.")] = None
    filename: str | None = None
    content_type: HeaderText | None = None

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise PydanticCustomError("one_of", "give either 'text' or 'base64'")
        return self


class MultipartBody(Params):
    """Parts as `multipart/form-data`, in their order."""

    type: Literal["multipart"]
    parts: Annotated[list[Part], Field(min_length=1, max_length=1000)]


class RawBody(Params):
    """Text as UTF-8, or bytes as base64, sent as they are."""

    type: Literal["raw"]
    text: Annotated[str | None, SECRETS] = None
    base64: Annotated[str | None, Field(repr=False)] = None
    content_type: Annotated[
        HeaderText | None, Field(description="text/plain or application/octet-stream when not given.")
    ] = None

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise PydanticCustomError("one_of", "give either 'text' or 'base64'")
        return self


Body = Annotated[JsonBody | FormBody | MultipartBody | RawBody, Field(discriminator="type")]
