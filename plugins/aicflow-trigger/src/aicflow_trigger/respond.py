"""The node type webhook.respond: what the caller of a webhook is answered."""

from typing import Annotated, Any

from aicflow import Context, HeaderText, Node, Output, Params
from pydantic import Field, JsonValue, StringConstraints, field_validator

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=128)]
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "date", "server"})


class RespondParams(Params):
    """The answer. A text body is sent as text/plain unless a header says otherwise, anything else as JSON; an object
    with `base64` and `content_type` is sent as those bytes."""

    status: int = Field(default=200, ge=200, le=599)
    headers: dict[HeaderName, HeaderText] = Field(default_factory=dict, max_length=50)
    body: JsonValue = None

    @field_validator("headers")
    @classmethod
    def _not_ours(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is set by the server")
        return headers


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
    title = "Respond to a webhook"
    category = "flow"

    async def run(self, ctx: Context, params: RespondParams) -> RespondOutput:
        """Give the answer; who waits for it takes it from the step's output."""
        return RespondOutput(status=params.status, headers=params.headers, body=params.body)
