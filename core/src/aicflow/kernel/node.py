"""What a node type is: typed params in, typed output out. Plugin authors subclass `Node`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter

from aicflow.kernel.context import Context
from aicflow.kernel.issues import Issue
from aicflow.kernel.values import dumps, loads

type OnRecovery = Literal["retry", "fail", "wait"]


class Params(BaseModel):
    """What a node is configured with. Unknown keys are errors; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class Output(BaseModel):
    """What a node gives. Closed, so that a misspelt field in a reference can be found before the first execution.
    Fields with a default are always written, and so the schema says."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, ser_json_inf_nan="constants", json_schema_serialization_defaults_required=True
    )


P = TypeVar("P", bound=Params)
O = TypeVar("O")  # noqa: E741 - the field's word


@dataclass(frozen=True, slots=True)
class Exit(Generic[O]):  # noqa: UP046 - the parameter is shared with Node
    """An output together with the port it leaves by."""

    port: str
    output: O


@dataclass(frozen=True, slots=True)
class Wait:
    """Returned by `run` to park the step. It costs nothing while it waits and survives restarts; `run` is called
    again with `ctx.answer` set, when someone answers or the time comes.

    `until`: seconds since 1970 UTC; or `seconds` from now; neither for as long as it takes. `answer_schema`: JSON
    Schema that an answer must fit; None refuses answers. `message`: what the person who looks at the execution should
    know. `again`: the question of the wait before is asked again; an answer to that one is an answer to this one.
    `event`: the name and key (None: any) of the event that is the answer.
    """

    until: float | None = None
    answer_schema: Mapping[str, Any] | bool | None = None
    message: str | None = None
    seconds: float | None = None
    again: bool = False
    event: tuple[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class StartChild:
    """Returned by `run` to start another workflow and, unless `detach`, wait for it: `ctx.answer.value` is then its
    status, output and error. Returned again, it starts another one; `ctx.children` has the results of all so far."""

    workflow: str
    input: Any
    detach: bool = False


class Node(ABC, Generic[P, O]):  # noqa: UP046 - __init_subclass__ reads the arguments
    """A node type. One instance serves every step of the type in a process, so keep no state of an execution on it.

    Subclasses set `type_id` and write `run`. A blocking `run` (plain `def`) is called in a thread. The first line
    of the docstring is the summary in catalogues, the rest its documentation.
    """

    type_id: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    category: ClassVar[str] = "general"
    ports: ClassVar[tuple[str, ...]] = ("main",)
    pure: ClassVar[bool] = False
    on_recovery: ClassVar[OnRecovery] = "retry"
    in_langgraph_task: ClassVar[bool] = False
    start_early: ClassVar[bool] = False
    """`start` takes long: it is called in the background after the server's start when an enabled workflow uses it."""
    variables: ClassVar[Mapping[str, str]] = {}
    """Environment variables that the type reads: what each does, in a sentence. For `aicflow doctor`."""
    errors: ClassVar[Mapping[str, str] | None] = None
    """Codes with which `run` fails, besides those that every node may fail with: what each means. None when the type
    does not declare them; then validation only warns of names in `retry.on` that it does not know."""
    params_model: ClassVar[type[Params]]
    output_type: ClassVar[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Node) and len(get_args(base)) == 2:
                params, output = get_args(base)
                if not isinstance(params, TypeVar):
                    cls.params_model = params
                if not isinstance(output, TypeVar):
                    cls.output_type = output

    @abstractmethod
    async def run(self, ctx: Context, params: P) -> O | Exit[O] | Wait | StartChild:
        """Do the work of one attempt. Raise TransientError or PermanentError to say how it failed."""

    async def start(self) -> None:
        """Open what all steps share (pools, clients). Called once in a process before the first step."""

    async def stop(self) -> None:
        """Close what `start` opened."""

    async def release(self, execution_id: str) -> None:
        """Let go of what is kept for one execution. Called when one that ran such a step ends, waits or leaves."""

    @classmethod
    def output_limits(cls) -> Mapping[str, int]:
        """Bytes that an output may have by the type's own variables; the host starts with none above its own limit."""
        return {}

    async def health(self) -> Mapping[str, Any] | None:
        """What an operator should know of this type in this process, as a JSON object; None when there is nothing.

        `ready` says whether steps can run, `reason` why not, `note` what is weaker than it might be; the rest is the
        type's own. Asked by health checks at any time, also before `start`: only look, and remember what was costly
        to find out.
        """
        return None

    @classmethod
    def ports_for(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The ports of a node with these params (as written in the document); `error` always exists beside them."""
        return cls.ports

    @classmethod
    def errors_for(cls, params: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The codes, and exception types that are not Python's own, with which a node with these params (as written)
        may fail."""
        return cls.errors

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """JSON Schema of the output with these params (as written), None when nothing is known."""
        return cls.output_schema()

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Problems of these params (as written) that their model cannot see. Pointers are relative to `params`."""
        return ()

    @classmethod
    def params_schema(cls) -> dict[str, Any]:
        """JSON Schema of the params."""
        return cls.params_model.model_json_schema()

    @classmethod
    def output_schema(cls) -> dict[str, Any] | None:
        """JSON Schema of the output whatever the params; None when it may be anything."""
        if cls.output_type in (Any, object):
            return None
        schema: dict[str, Any] = loads(_output_schema(cls.output_type))
        return schema


type NodeType = type[Node[Any, Any]]


@cache
def output_adapter(output_type: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of an output type; built once. NaN stays NaN, to be refused, instead of becoming null."""
    try:
        return TypeAdapter(output_type, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError:  # models bring their own configuration
        return TypeAdapter(output_type)


@cache
def _output_schema(output_type: Any) -> bytes:
    """Kept as JSON: making a schema takes pydantic most of a millisecond, and whoever asks may change theirs."""
    return dumps(output_adapter(output_type).json_schema(mode="serialization"))


# types that tell how a param takes references: as code, in a URL, in a header, or with secrets
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
