"""How a trigger.webhook is configured."""

from typing import Annotated, Any, Literal

from aicflow import Output, Params, SecretText
from pydantic import Field

from aicflow_trigger.bodies import BodyKind
from aicflow_trigger.hmacs import Algorithm, Encoding
from aicflow_trigger.multipart_bodies import UploadedFile
from aicflow_trigger.signatures import PlainScheme, Preset

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
_Secret = Annotated[SecretText, Field(min_length=1)]
_NodeId = Annotated[str, Field(min_length=1, max_length=64)]
_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # noqa: S105 - the grammar of a header's name


class NoAuth(Params):
    """Anyone who knows the URL may call."""

    type: Literal["none"] = "none"


class ApiKeyAuth(Params):
    """A key in a header. Several keys are live at once, so that they can be changed without a gap."""

    type: Literal["api_key"]
    header: str = Field(default="X-API-Key", max_length=128, pattern=_TOKEN)
    keys: list[_Secret] = Field(min_length=1, max_length=10)
    prefix: str = Field(default="", max_length=40, description="What stands before the key, such as `Bearer `")


class BasicAuth(Params):
    """A user name and a password; two passwords may be live at once."""

    type: Literal["basic"]
    username: str = Field(min_length=1, max_length=200, pattern="^[^:]*$")
    passwords: list[_Secret] = Field(min_length=1, max_length=2)


class HmacAuth(Params):
    """A signature over the raw bytes, the way a well-known sender makes it. Two secrets may be live at once.

    `window` is how far the sender's time may be off, in seconds. The keys from `header` on are for `plain` only.
    Under `github` and `plain` the delivery's id is not signed, so a body that comes again with another id counts as the
    same delivery, unless `repeats`.
    """

    type: Literal["hmac"]
    preset: Preset
    secrets: list[_Secret] = Field(min_length=1, max_length=2)
    window: float = Field(default=300, gt=0, le=86_400)
    repeats: bool = Field(
        default=False,
        description="Under `github` and `plain`, equal bodies with different delivery ids are different deliveries",
    )
    header: str = Field(default="X-Signature", max_length=128, pattern=_TOKEN)
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = Field(default="", max_length=40)
    delivery_header: str | None = Field(default=None, max_length=128, pattern=_TOKEN)

    @property
    def plain(self) -> PlainScheme:
        """The scheme of the preset `plain`."""
        return PlainScheme(self.header, self.algorithm, self.encoding, self.prefix, self.delivery_header)


class CrossOrigin(Params):
    """Which pages of other origins may call the webhook from a browser, and read its answer."""

    origins: list[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s?#@]+)$", max_length=300)]] = Field(
        min_length=1, max_length=100, description="Such as `https://shop.example`; `*` is every one"
    )
    headers: list[Annotated[str, Field(pattern=_TOKEN, max_length=128)]] = Field(
        default=[], max_length=100, description="Request headers that pages may send; all when none are listed"
    )
    max_age: int = Field(default=600, ge=0, le=86_400, description="Seconds that a browser remembers this")


class RespondAtOnce(Params):
    """Answer 202 with the execution's id as soon as the delivery is stored."""

    mode: Literal["at_once"] = "at_once"


class RespondWithOutput(Params):
    """Answer with the execution's output when it ends; 202 with its id when that takes longer than `timeout`."""

    mode: Literal["output"]
    timeout: float = Field(default=30, gt=0, le=300)


class RespondFromNode(Params):
    """Answer with what a node returns, while the execution goes on: a `webhook.respond` node says status, headers and
    body; the output of any other is sent as JSON. 202 with the execution's id when that takes longer than `timeout`.
    Of several nodes, one for each branch, the first to succeed answers."""

    mode: Literal["node"]
    node: _NodeId | Annotated[list[_NodeId], Field(min_length=1, max_length=50)]
    timeout: float = Field(default=30, gt=0, le=300)

    @property
    def nodes(self) -> list[str]:
        """The nodes of which one answers."""
        return [self.node] if isinstance(self.node, str) else self.node


class WebhookParams(Params):
    """A URL below `/hooks/`. `{name}` in the path matches one segment and is given as `path_params.name`."""

    path: str = Field(min_length=1, max_length=500, description="Such as `orders/{customer}`; without references")
    methods: list[Method] = Field(default=["POST"], min_length=1)
    auth: Annotated[NoAuth | ApiKeyAuth | BasicAuth | HmacAuth, Field(discriminator="type")] = NoAuth()
    accept: list[BodyKind] | None = Field(
        default=None, min_length=1, description="Kinds of body that are taken; all by default, an empty one too"
    )
    max_body_bytes: int = Field(default=1_048_576, ge=0, le=104_857_600)
    cors: CrossOrigin | None = None
    delivery_header: str | None = Field(
        default=None,
        max_length=128,
        pattern=_TOKEN,
        description="Header with the sender's id of the delivery; the same id starts one execution only",
    )
    respond: Annotated[RespondAtOnce | RespondWithOutput | RespondFromNode, Field(discriminator="mode")] = (
        RespondAtOnce()
    )


class WebhookPayload(Output):
    """What a call hands to the workflow. `body` is decoded by its content type; header names are in lower case, and
    the headers that prove who called are left out. A header or query parameter that came several times is a list in
    `query`, joined with commas in `headers`."""

    method: str
    path: str
    path_params: dict[str, str]
    query: dict[str, str | list[str]]
    headers: dict[str, str]
    body: Any
    content_type: str
    files: list[UploadedFile]
    delivery_id: str | None
    received_at: str
