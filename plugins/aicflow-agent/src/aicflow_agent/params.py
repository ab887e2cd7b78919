"""What an agent is configured with and what it returns. Knows nothing of LangChain."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from aicflow import Output, Params, SecretText, Url
from pydantic import Field, model_validator

type OutputMethod = Literal["tool", "json_schema"]
type StopReason = Literal["end", "max_tokens", "refused", "other"]


class Tool(Params):
    """A node type that the model may call. What the model is shown is the node type's params schema without what
    `params` fixes, or only what `expose` lists."""

    node: str = Field(description="Type id of the node to offer, such as http.request.")
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="What the model calls it; by default the type id with underscores.",
    )
    description: str | None = Field(
        default=None,
        max_length=1024,
        description="What it is for, in words for the model; by default the node type's.",
    )
    params: dict[str, Any] = Field(
        default={},
        description="Fixed params. The model neither sees nor changes them.",
        json_schema_extra={"x-aicflow": {"params_of": "node"}},
    )
    expose: list[str] | None = Field(
        default=None, description="The params that the model may fill; by default all that are not fixed."
    )

    @property
    def shown_name(self) -> str:
        """The tool's name as the model knows it."""
        return self.name or self.node.replace(".", "_")


class Message(Params):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str


class Price(Params):
    """What a million tokens cost, in any one currency."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class AgentParams(Params):
    """Exactly one of `prompt` and `messages` is given."""

    model: str | None = Field(
        default=None,
        min_length=1,
        description="provider:model, such as openai:gpt-5-mini. Default: the operator's AICFLOW_AGENT_MODEL.",
    )
    base_url: Url | None = Field(
        default=None,
        description="Where an OpenAI-compatible server answers, up to and with /v1. Default: the operator's "
        "AICFLOW_AGENT_BASE_URL, else the provider's own.",
    )
    api_key: SecretText = Field(
        default="",
        repr=False,
        description="The provider's key. Default: the operator's, which is never sent to a base_url given here.",
    )
    system_prompt: str | None = Field(default=None, description="Standing instructions for the model.")
    prompt: str | None = Field(default=None, min_length=1, description="What the model is asked.")
    messages: list[Message] | None = Field(
        default=None, min_length=1, description="A conversation instead of a single prompt."
    )
    tools: list[Tool] = Field(default=[], max_length=64, description="Node types that the model may call.")
    output_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema (type object) of the answer, which is then given as `structured`."
    )
    output_method: OutputMethod = Field(
        default="tool",
        description="How the model is asked for structured output: by a tool call, or by response_format json_schema "
        "(OpenAI-compatible servers that constrain decoding).",
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, description="Longest single answer of the model, in tokens.")
    timeout: float = Field(default=60, gt=0, le=3600, description="Longest single call of the model, in seconds.")
    max_model_calls: int = Field(default=10, ge=1, le=1000)
    max_tool_calls: int = Field(default=20, ge=0, le=1000)
    max_tool_errors: int = Field(default=5, ge=0, description="How many failed tool calls the model may learn from.")
    max_total_tokens: int | None = Field(default=None, ge=1, description="Input and output of all calls together.")
    max_cost: float | None = Field(default=None, gt=0, description="In the currency of `price`.")
    price: Price | None = Field(default=None, description="Needed for max_cost and usage.cost.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give exactly one of prompt and messages")
        if self.max_cost is not None and self.price is None:
            raise ValueError("max_cost needs price")
        names = [tool.shown_name for tool in self.tools]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ValueError(f"two tools are called {double!r}; give one of them another name")
        return self


class ToolUse(Output):
    """A tool call that the model asked for; the arguments are shortened JSON."""

    name: str
    arguments: str


class Exchange(Output):
    """One message of what was said, shortened."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    tool_calls: tuple[ToolUse, ...] = ()
    tool: str | None = None


class AgentUsage(Output):
    """Sums over all model calls of this attempt. `estimated` when the provider did not report tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    model_calls: int
    tool_calls: int
    cost: float | None = None
    estimated: bool = False


class AgentOutput(Output):
    """`structured` is the answer in the shape of `output_schema`; `messages` are the last ones, shortened;
    `reasoning` is what the model wrote for itself before its last answer, where it tells."""

    text: str
    structured: Annotated[Any, Field(description="The answer in the shape of output_schema.")] = None
    reasoning: str = ""
    stop_reason: StopReason
    usage: AgentUsage
    messages: tuple[Exchange, ...] = ()
