"""What http.request is configured with, and what it returns."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from aicflow import Output, Params, Url
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from aicflow_http.auth import Auth, NoAuth
from aicflow_http.bodies import Body
from aicflow_http.pagination import Pagination
from aicflow_http.param_types import SECRET_HEADERS, SECRETS, TOKEN, HeaderName, header_name

__all__ = ["HttpRequestParams", "HttpResponse", "Redirects", "ResponseOptions", "Timeouts", "Tls"]

_STATUSES = re.compile(r"([1-5])xx\Z|([1-5]\d\d)(?:-([1-5]\d\d))?\Z")

QueryValue = str | int | float | bool | None | list[str | int | float | bool]


class Timeouts(Params):
    """Seconds. `read` is the longest silence; `total` covers one page with its redirects."""

    connect: Annotated[float, Field(gt=0, le=600)] = 10
    read: Annotated[float, Field(gt=0, le=3600)] = 30
    total: Annotated[float, Field(gt=0, le=86_400)] = 120


class Redirects(Params):
    """Whether and how far redirects are followed."""

    follow: bool = True
    max: Annotated[int, Field(ge=0, le=50)] = 10


class ResponseOptions(Params):
    """How the response is read. `auto` goes by its content type. `max_bytes` counts bytes after decompression."""

    as_: Annotated[Literal["auto", "json", "text", "bytes"], Field(alias="as")] = "auto"
    max_bytes: Annotated[int, Field(ge=0, le=100_000_000)] = 10_000_000
    on_too_large: Annotated[Literal["fail", "truncate"], Field(description="`truncate` keeps the first bytes.")] = (
        "fail"
    )
    charset: Annotated[str | None, Field(description="Used instead of the one that the response names.")] = None


class Tls(Params):
    """Certificates as PEM text. `ca` replaces the public authorities; `client_cert` proves who we are."""

    ca: Annotated[str | None, SECRETS, Field(description="Private certificate authorities.")] = None
    client_cert: Annotated[str | None, SECRETS, Field(description="Client certificate, with its chain.")] = None
    client_key: Annotated[
        str | None, SECRETS, Field(description="Its private key, unless it stands in client_cert.")
    ] = None
    client_key_password: Annotated[str | None, SECRETS] = None
    verify: Annotated[bool, Field(description="False accepts any certificate: for tests on your own machine only.")] = (
        True
    )


class HttpRequestParams(Params):
    """One request, with everything that may be asked of it."""

    url: Annotated[Url, Field(min_length=1, description="http or https; credentials belong in 'auth'.")]
    method: Annotated[
        str, Field(examples=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"], max_length=32)
    ] = "GET"
    query: dict[str, QueryValue] = Field(
        default={}, description="Added to the URL. A list repeats the name; null leaves it out."
    )
    headers: Annotated[dict[str, str | list[str]], SECRET_HEADERS] = Field(default={})
    cookies: Annotated[dict[str, str], SECRET_HEADERS] = Field(default={})
    body: Body | None = None
    auth: Auth = NoAuth()
    tls: Tls | None = None
    timeouts: Timeouts = Timeouts()
    redirects: Redirects = Redirects()
    raise_for_status: Annotated[bool, Field(description="Whether a status from 400 fails the step.")] = True
    accept_status: list[int | str] = Field(
        default=[], description="Statuses that do not fail the step: 404, '4xx', '400-404'."
    )
    retry_non_idempotent: Annotated[
        bool,
        Field(
            description="Whether failures of POST and PATCH may be tried again although the work may have been done."
        ),
    ] = False
    idempotency_header: Annotated[
        HeaderName | None,
        Field(description="Header that carries the step's idempotency key; makes any method safe to retry."),
    ] = None
    response: ResponseOptions = ResponseOptions()
    pagination: Pagination | None = None
    proxy: Annotated[
        str | None, SECRETS, Field(description="URL of an HTTP proxy, if the operator has not set one.")
    ] = None

    @field_validator("method")
    @classmethod
    def _method(cls, value: str) -> str:
        if not TOKEN.match(value) or value.upper() in ("CONNECT", "TRACE"):
            raise PydanticCustomError("method", "not a method that can be sent; use GET, POST, PUT, PATCH, DELETE, …")
        return value.upper()

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            header_name(name)
        return value

    @field_validator("cookies")
    @classmethod
    def _cookies(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not TOKEN.match(name):
                raise PydanticCustomError("cookie", "{name} is not a cookie name", {"name": repr(name[:80])})
        return value

    @field_validator("accept_status")
    @classmethod
    def _accept(cls, value: list[int | str]) -> list[int | str]:
        for entry in value:
            if not _STATUSES.match(str(entry)):
                raise PydanticCustomError(
                    "status", "{entry} is not a status such as 404, '4xx' or '400-404'", {"entry": repr(entry)}
                )
        return value

    def accepts(self, status: int) -> bool:
        """Whether a response with this status is a success."""
        if status < 400 or not self.raise_for_status:
            return True
        for entry in self.accept_status:
            match = _STATUSES.match(str(entry))
            assert match is not None
            family, low, high = match.groups()
            if (status // 100 == int(family)) if family else (int(low) <= status <= int(high or low)):
                return True
        return False


class HttpResponse(Output):
    """The response.

    `body`: a JSON value, text, or (`body_type` is `base64`) bytes as base64; with pagination, the items of all pages.
    `headers`: by lower-case name. `url`: where the response came from, without credentials. `size`: bytes of the body
    after decompression. `truncated`: the body was cut at `max_bytes`. `has_more`: the pagination ended before the last
    page, by a cap or a response that was no page.
    """

    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    body: Any
    body_type: Literal["json", "text", "base64", "empty"]
    content_type: str | None
    url: str
    redirects: int
    size: int
    elapsed_ms: float
    pages: int = 1
    truncated: bool = False
    has_more: bool = False
