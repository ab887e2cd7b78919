"""The node type webhook.respond: what the caller of a webhook is answered."""

import base64
import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from aicflow import Context, File, HeaderText, Node, Output, Params
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, field_validator

NO_BODY: Final = frozenset({204, 205, 304})
_OURS: Final = frozenset(
    ("connection", "content-length", "date", "keep-alive", "server", "trailer", "transfer-encoding", "upgrade")
)
_GUARDED: Final = frozenset(
    (
        *("clear-site-data", "content-security-policy", "content-security-policy-report-only", "permissions-policy"),
        *("cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"),
        *("referrer-policy", "service-worker-allowed", "set-cookie", "strict-transport-security"),
        *("x-content-type-options", "x-frame-options"),
    )
)
"""Headers that say what pages of this origin may do: the workflow's answer shares the origin with the API."""
_HEADER_VALUE: Final = r"^[\x20-\x7e\x80-\xff\t]*$"
_MOST_VALUE: Final = 8_192

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=128)]
HeaderValue = Annotated[HeaderText, StringConstraints(pattern=_HEADER_VALUE, max_length=_MOST_VALUE)]


class EncodedBody(BaseModel):
    """A body of bytes. `size` may stand beside it, as in what a webhook was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base64: str
    content_type: Annotated[str, StringConstraints(pattern=_HEADER_VALUE, min_length=1, max_length=256)]
    size: int | None = None

    @field_validator("base64")
    @classmethod
    def _decodable(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            raise ValueError("it is not base64") from None
        return value


class RespondParams(Params):
    """The answer. A text body is sent as text/plain unless a header says otherwise, anything else as JSON; an object
    with `base64` and `content_type` (and nothing else but `size`) is sent as those bytes. A file is sent as its
    content, with its type, and its name as that of a download unless the header `content-disposition` says
    otherwise."""

    status: int = Field(default=200, ge=200, le=599)
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=50)
    body: JsonValue = None

    @property
    def encoded(self) -> EncodedBody | None:
        """The body, when it is given as bytes."""
        return EncodedBody.model_validate(self.body) if _is_encoded(self.body) else None

    @property
    def file(self) -> File | None:
        """The body, when it is a file."""
        return File.model_validate(self.body) if _is_file(self.body) else None

    @field_validator("headers")
    @classmethod
    def _not_ours(cls, headers: dict[str, str]) -> dict[str, str]:
        words = os.environ.get("AICFLOW_WEBHOOK_ALLOW_HEADERS", "").lower().split(",")
        allowed = {word.strip() for word in words}
        for name in headers:
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is set by the server")
            if name.lower() in _GUARDED - allowed:
                raise ValueError(
                    f"the header {name} would hold for the whole origin of the API; the operator can allow it with "
                    f"AICFLOW_WEBHOOK_ALLOW_HEADERS={name.lower()}"
                )
        return headers

    @field_validator("body")
    @classmethod
    def _decodable(cls, body: JsonValue) -> JsonValue:
        if _is_encoded(body):
            EncodedBody.model_validate(body)
        elif _is_file(body):
            File.model_validate(body)
        return body


def _is_encoded(body: Any) -> bool:
    return isinstance(body, dict) and {"base64", "content_type"} <= body.keys() <= {"base64", "content_type", "size"}


def _is_file(body: Any) -> bool:
    return isinstance(body, dict) and {"$blob", "size"} <= body.keys() <= {"$blob", "size", "type", "name"}


class RespondOutput(Output):
    """The answer as it is sent."""

    status: int
    headers: dict[str, str]
    body: Any


class Respond(Node[RespondParams, RespondOutput]):
    """Answer the caller of the webhook that started this execution.

    The trigger names this node: `respond: {mode: node, node: …}`. The execution goes on after the answer.
    """

    type_id = "webhook.respond"
    variables: ClassVar[Mapping[str, str]] = {
        "AICFLOW_WEBHOOK_ALLOW_HEADERS": "Security headers and `set-cookie` that responses may set nevertheless"
    }
    title = "Respond to a webhook"
    category = "flow"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: RespondParams) -> RespondOutput:
        """Give the answer; who waits for it takes it from the step's output."""
        return RespondOutput(status=params.status, headers=params.headers, body=params.body)
