"""What http.request is configured with, and what it returns."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from aicflow import File, HeaderText, Output, Params, Url, cut
from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

# They apply to everything inside the value, and keep it out of `repr`, which tracebacks and debuggers show.
SECRETS = Field(json_schema_extra={"x-aicflow": {"secret": True}}, repr=False)
SECRET_HEADERS = Field(json_schema_extra={"x-aicflow": {"kind": "header", "secret": True}}, repr=False)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")

# They say how the message travels; a wrong value would let one request look like two.
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


_SECRET_HEADER = re.compile(
    r"(?i)(?!idempotency-key$)((proxy-)?authorization|cookie|.*(key|token|secret|password|session|signature).*)"
)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name is likely to hold a credential."""
    return _SECRET_HEADER.fullmatch(name) is not None


def header_name(name: str) -> str:
    """The name, if it is one and not the connection's own business."""
    if not _TOKEN.match(name):
        raise PydanticCustomError("header", "{name} is not a header name", {"name": repr(cut(name, 80))})
    if name.lower() in _OURS or name.lower().startswith("proxy-"):
        raise PydanticCustomError("header", "the header {name} is set by the connection, not by you", {"name": name})
    return name


HeaderName = Annotated[HeaderText, AfterValidator(header_name)]


HmacPart = Literal[
    "id", "timestamp", "method", "host", "path", "query", "path_and_query", "body", "body_sha256", "key_id"
]


class NoAuth(Params):
    """No authentication."""

    type: Literal["none"] = "none"


class BasicAuth(Params):
    """User name and password, as RFC 7617."""

    type: Literal["basic"]
    username: Annotated[str, SECRETS]
    password: Annotated[str, SECRETS] = ""


class BearerAuth(Params):
    """A token in the Authorization header, as RFC 6750. `scheme` is the word before it."""

    type: Literal["bearer"]
    token: Annotated[str, SECRET_HEADERS, Field(min_length=1)]
    scheme: Annotated[HeaderText, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] = "Bearer"


class ApiKeyAuth(Params):
    """A key in a header or in the query."""

    type: Literal["api_key"]
    name: Annotated[HeaderText, Field(min_length=1, description="Name of the header or of the query parameter.")] = (
        "X-API-Key"
    )
    value: Annotated[str, SECRET_HEADERS, Field(min_length=1)]
    location: Literal["header", "query"] = "header"

    @model_validator(mode="after")
    def _name_fits(self) -> Self:
        if self.location == "header":
            header_name(self.name)
        return self


class HmacAuth(Params):
    """A signature over parts of the request, joined by `separator`, in a header.

    The defaults sign `timestamp.body` with SHA-256 in hex. `id` is the step's idempotency key.
    """

    type: Literal["hmac"]
    secret: Annotated[str, SECRETS, Field(min_length=1)]
    secret_encoding: Annotated[
        Literal["text", "base64", "hex"],
        Field(description="How the key's bytes are written; `whsec_` before base64 is dropped."),
    ] = "text"  # noqa: S105 - an encoding, not a password
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    parts: list[HmacPart] = Field(default=["timestamp", "body"], min_length=1, max_length=10)
    separator: str = "."
    signed_prefix: Annotated[str, Field(description="Text before the signed parts, such as `v0:`.")] = ""
    header: HeaderName = "X-Signature"
    prefix: Annotated[HeaderText, Field(description="Text before the signature, such as `sha256=`.")] = ""
    timestamp_header: HeaderName | None = "X-Timestamp"
    id_header: HeaderName | None = None
    key_id: HeaderText | None = None
    key_id_header: HeaderName | None = None


class OAuth2ClientCredentials(Params):
    """A token by the client credentials grant of RFC 6749. It is kept until shortly before it expires, shared by all
    steps with the same credentials, and fetched anew once when the API answers 401."""

    type: Literal["oauth2_client_credentials"]
    token_url: Url
    client_id: Annotated[str, SECRETS]
    client_secret: Annotated[str, SECRETS]
    scope: str | None = None
    audience: str | None = None
    credentials_in: Annotated[
        Literal["header", "body"], Field(description="Where the token endpoint wants the credentials.")
    ] = "header"
    extra: dict[str, str] = Field(default={}, description="More form fields for the token endpoint.")


Auth = Annotated[
    NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | HmacAuth | OAuth2ClientCredentials, Field(discriminator="type")
]


FormValue = str | int | float | bool | list[str | int | float | bool] | None


class JsonBody(Params):
    """Any JSON value."""

    type: Literal["json"]
    value: Annotated[Any, SECRETS]


class FormBody(Params):
    """Fields as `application/x-www-form-urlencoded`. A list repeats a field; null leaves it out."""

    type: Literal["form"]
    fields: Annotated[dict[str, FormValue], SECRETS]


class Content(Params):
    """Text as UTF-8, bytes as base64, or a file, which is sent a piece at a time."""

    text: Annotated[str | None, SECRETS] = None
    base64: Annotated[str | None, Field(repr=False, description="The content, as base64.")] = None
    file: File | None = None

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if sum(content is not None for content in (self.text, self.base64, self.file)) != 1:
            raise PydanticCustomError("one_of", "needs one of 'text', 'base64' and 'file'")
        return self


class Part(Content):
    """One part of a multipart body: a field (`text`), or a file (`file`, or `filename` with `text` or `base64`)."""

    name: Annotated[str, Field(min_length=1)]
    filename: str | None = None
    content_type: HeaderText | None = None


class MultipartBody(Params):
    """Parts as `multipart/form-data`, in their order."""

    type: Literal["multipart"]
    parts: Annotated[list[Part], Field(min_length=1, max_length=1000)]


class RawBody(Content):
    """Text as UTF-8, bytes as base64, or a file, sent as they are."""

    type: Literal["raw"]
    content_type: Annotated[
        HeaderText | None, Field(description="text/plain, application/octet-stream or the file's when left out.")
    ] = None


Body = Annotated[JsonBody | FormBody | MultipartBody | RawBody, Field(discriminator="type")]


Path = Annotated[str, Field(description="Where it is in the JSON body: `data.items`, or a JSON pointer `/data/items`.")]


class Caps(Params):
    """What all of them have in common: where the items are, and when to stop asking."""

    items: Path = ""
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_bytes: Annotated[int, Field(ge=1, le=100_000_000, description="Of all pages together.")] = 50_000_000


class LinkPagination(Caps):
    """The next page's URL is in the Link header with `rel="next"`."""

    type: Literal["link"]
    rel: str = "next"


class CursorPagination(Caps):
    """The body holds what asks for the next page: a cursor to send as `param`, or (`next_url`) its whole URL."""

    type: Literal["cursor"]
    cursor: Path | None = None
    param: Annotated[str, Field(min_length=1)] = "cursor"
    location: Annotated[
        Literal["query", "body"], Field(description="Where `param` goes; `body` needs a JSON object.")
    ] = "query"
    next_url: Path | None = None
    has_more: Annotated[str | None, Field(description="Where the body says whether there is a next page.")] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cursor is None) == (self.next_url is None):
            raise PydanticCustomError("one_of", "needs either 'cursor' or 'next_url'")
        return self


class PagePagination(Caps):
    """Pages are numbered. The last one is empty, shorter than `size` and the one before, or before a 404."""

    type: Literal["page"]
    param: Annotated[str, Field(min_length=1)] = "page"
    start: Annotated[int, Field(ge=0)] = 1
    size_param: str | None = None
    size: Annotated[int | None, Field(ge=1)] = None


class OffsetPagination(Caps):
    """Pages start at an offset counted in items. The last one is empty, shorter than `limit` and
    the one before, or before a 404."""

    type: Literal["offset"]
    param: Annotated[str, Field(min_length=1)] = "offset"
    start: Annotated[int, Field(ge=0)] = 0
    limit_param: str | None = "limit"
    limit: Annotated[int, Field(ge=1)] = 100


Pagination = Annotated[
    LinkPagination | CursorPagination | PagePagination | OffsetPagination, Field(discriminator="type")
]


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
    """How the response is read. `auto` goes by its content type. `max_bytes` counts bytes after decompression.

    `file` keeps the body as a file, a piece at a time, so that it may be far larger than the memory: up to
    `max_file_bytes`. Its name is `name`, else what the server calls it.
    """

    as_: Annotated[Literal["auto", "json", "text", "bytes", "file"], Field(alias="as")] = "auto"
    max_bytes: Annotated[int, Field(ge=0, le=100_000_000)] = 16_777_216
    max_file_bytes: Annotated[int, Field(ge=1, le=1_000_000_000_000)] = 10_000_000_000
    name: Annotated[str | None, Field(min_length=1, max_length=200, description="The new file's name.")] = None
    on_too_large: Annotated[Literal["fail", "truncate"], Field(description="`truncate` keeps the first bytes.")] = (
        "fail"
    )
    charset: Annotated[str | None, Field(description="Used instead of the one that the response names.")] = None

    @model_validator(mode="after")
    def _whole_files(self) -> Self:
        if self.as_ == "file" and self.on_too_large == "truncate":
            raise PydanticCustomError("truncate", "a file is kept whole or not at all: on_too_large cannot be truncate")
        return self


class Tls(Params):
    """Certificates as PEM text. `ca` replaces the public authorities; `client_cert` proves who we are."""

    ca: Annotated[str | None, SECRETS, Field(description="Private certificate authorities.")] = None
    client_cert: Annotated[str | None, SECRETS, Field(description="Client certificate, with its chain.")] = None
    client_key: Annotated[str | None, SECRETS, Field(description="Its private key, unless client_cert holds it.")] = (
        None
    )
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
        if not _TOKEN.match(value) or value.upper() in ("CONNECT", "TRACE"):
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
            if not _TOKEN.match(name):
                raise PydanticCustomError("cookie", "{name} is not a cookie name", {"name": repr(cut(name, 80))})
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

    `body`: a JSON value, text, or (`body_type` is `base64`) bytes as base64, or (`file`) a file; with
    pagination, the items of all pages.
    `headers`: by lower-case name. `url`: where the response came from, without credentials. `size`: bytes of the body
    after decompression. `truncated`: the body was cut at `max_bytes`. `has_more`: the pagination ended before the last
    page, by a cap or a response that was no page.
    """

    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    body: Any
    body_type: Literal["json", "text", "base64", "file", "empty"]
    content_type: str | None
    url: str
    redirects: int
    size: int
    elapsed_ms: float
    pages: int = 1
    truncated: bool = False
    has_more: bool = False
