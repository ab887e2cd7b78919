"""The ways a request can show who sends it, as params."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from aicflow import HeaderText, Params, Url
from pydantic import Field, model_validator

from aicflow_http.param_types import SECRET_HEADERS, SECRETS, HeaderName, header_name

__all__ = [
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "HmacAuth",
    "HmacPart",
    "NoAuth",
    "OAuth2ClientCredentials",
]

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
