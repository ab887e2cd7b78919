"""How a trigger.webhook is configured, and the payload that its workflow gets."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any, Final, Literal

from aicflow import File, Output, Params, Rate, SecretText
from pydantic import Field, TypeAdapter

from aicflow_trigger.bodies import BodyKind, UploadedFile, may_give_files
from aicflow_trigger.errors import PathPatternError
from aicflow_trigger.paths import PathPattern
from aicflow_trigger.signatures import Algorithm, Encoding, PlainScheme, Preset

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
    prefix: str = Field(default="", max_length=40, description="Text before the key, such as `Bearer `")


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
    max_body_bytes: int = Field(default=16_777_216, ge=0, le=104_857_600)
    files_above: int | None = Field(
        default=1_048_576,
        ge=0,
        description="Uploads of a form, and bodies of bytes, with more bytes than this become files instead of base64; "
        "0 for all of them, null for none",
    )
    rate: str | None = Field(
        default=None,
        pattern=Rate.PATTERN,
        description="Calls of everybody in a time: `600/m`, `20/10s`, `off`; AICFLOW_WEBHOOK_RATE unless said",
    )
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
    `query`, joined with commas in `headers`. Where uploads may become files (`files_above`), each has a `file` too, and
    either that or its `base64` is null."""

    method: str
    path: str
    path_params: dict[str, str]
    query: dict[str, str | list[str]]
    headers: dict[str, str]
    body: Any
    content_type: str
    files: list[UploadedFile]
    delivery_id: str | None
    authenticated_by: str | None = Field(
        description="What proved who called: the preset of the signature, `basic` or `api_key`; null for `none`"
    )
    received_at: str


_TEXTS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_FORM: Final = {"type": "object", "additionalProperties": _TEXTS}
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "empty": {"type": "null"},
    "form": _FORM,
    "multipart": _FORM,
    "text": {"type": "string"},
    "bytes": {
        "type": "object",
        "properties": {
            "base64": {"type": "string"},
            "size": {"type": "integer", "minimum": 0},
            "content_type": {"type": "string"},
        },
        "required": ["base64", "size", "content_type"],
        "additionalProperties": False,
    },
}


def payload_schema(base: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the payload with these params (as written): closed path parameters, the methods that can be, and
    the shapes of body that `accept` leaves."""
    schema = deepcopy(dict(base))
    properties = schema["properties"]
    try:
        names = PathPattern.parse(str(params.get("path", ""))).parameters
    except PathPatternError:
        pass
    else:
        properties["path_params"] = {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": list(names),
            "additionalProperties": False,
        }
    methods = params.get("methods", ["POST"])
    if isinstance(methods, list) and methods and all(isinstance(one, str) for one in methods):
        properties["method"] = {"enum": sorted({*methods, "HEAD"} if "GET" in methods else set(methods))}
    above, most = params.get("files_above", _FILES_ABOVE), params.get("max_body_bytes", _MAX_BODY_BYTES)
    known = isinstance(above, int | None) and isinstance(most, int)
    bodies = _BODIES
    if not known or may_give_files(above, most):
        bodies = {**_BODIES, "bytes": _with_file(_BODIES["bytes"], always=above == 0)}
        schema["$defs"]["UploadedFile"] = _with_file(schema["$defs"]["UploadedFile"], always=above == 0)
    else:
        schema["$defs"]["UploadedFile"]["properties"]["base64"] = {"type": "string"}
    accept = params.get("accept")
    if isinstance(accept, list) and accept and all(kind in bodies for kind in accept):
        shapes = [bodies[kind] for kind in dict.fromkeys(accept)]
        properties["body"] = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        if "multipart" not in accept:
            properties["files"] = {"type": "array", "maxItems": 0}
    return schema


_FILES_ABOVE: Final = WebhookParams.model_fields["files_above"].default
_MAX_BODY_BYTES: Final = WebhookParams.model_fields["max_body_bytes"].default


def _with_file(upload: Mapping[str, Any], *, always: bool) -> dict[str, Any]:
    """The schema of an upload that may be a file, or is one `always`."""
    file = TypeAdapter(File).json_schema(mode="serialization")
    return {
        **upload,
        "properties": {
            **upload["properties"],
            "base64": {"type": "null"} if always else {"type": ["string", "null"]},
            "file": file if always else {"anyOf": [file, {"type": "null"}]},
        },
        "required": [*upload["required"], "file"],
    }
