"""Node types that belong to the engine itself: waiting, calling another workflow, and nodes with a body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from aicflow.engine.events import EVENT_SCHEMA, EventKey, EventName
from aicflow.kernel.context import Context
from aicflow.kernel.errors import PermanentError
from aicflow.kernel.node import Exit, Node, Output, Params, StartChild, Wait


class AwaitedEvent(Params):
    """Which event. Without `key`, one of that name whatever its key is."""

    name: EventName
    key: EventKey = Field(default=None, description="What the event's `key` must be, such as an order's number")

    @model_validator(mode="after")
    def _key_is_known(self) -> AwaitedEvent:
        if self.key is None and "key" in self.model_fields_set:
            raise ValueError("key is null, which no event is looked for by; leave it out to wait for any key")
        return self


class WaitParams(Params):
    """How long to wait, or for what. With `answer_schema` or `event`, `seconds` or `until` is the time limit."""

    seconds: float | None = Field(default=None, ge=0, le=315_360_000)
    until: str | None = Field(default=None, description="RFC 3339, such as 2027-01-31T09:00:00Z")
    answer_schema: dict[str, JsonValue] | bool | None = Field(
        default=None, description="JSON Schema that the answer must fit"
    )
    event: AwaitedEvent | None = Field(default=None, description="The event to wait for")
    message: str | None = Field(default=None, max_length=2_000)

    @model_validator(mode="after")
    def _one_way(self) -> WaitParams:
        if self.seconds is not None and self.until is not None:
            raise ValueError("give seconds or until, not both")
        if self.event is not None and self.answer_schema is not None:
            raise ValueError("give event or answer_schema, not both")
        if self.seconds is None and self.until is None and self.answer_schema is None and self.event is None:
            raise ValueError("give seconds, until, answer_schema or event")
        return self


class WaitOutput(Output):
    """What ended the wait. `answer` is what was answered, or the event; null when the time came."""

    answered: bool
    answer: Any = None


class WaitNode(Node[WaitParams, WaitOutput]):
    """Wait for a time, for a person's answer or for an event.

    The execution holds no worker while it waits and survives restarts. Answer with
    `POST /api/v1/executions/{id}/resume`, send events with `POST /api/v1/events`. Leaves by `main` when the answer or
    the event came (or, when neither was asked for, the time) and by `timeout` when it did not come in time.
    """

    type_id = "wait"
    title = "Wait"
    category = "flow"
    ports = ("main", "timeout")
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: WaitParams) -> WaitOutput | Exit[WaitOutput] | Wait:
        """Park, then say what ended the wait."""
        if ctx.answer is None:
            return Wait(
                until=_until(params),
                seconds=params.seconds,
                answer_schema=params.answer_schema,
                message=params.message,
                event=None if params.event is None else (params.event.name, params.event.key),
            )
        if ctx.answer.kind == "answered":
            return WaitOutput(answered=True, answer=ctx.answer.value)
        asked = params.answer_schema is not None or params.event is not None
        return Exit("timeout" if asked else "main", WaitOutput(answered=False))

    @classmethod
    def ports_for(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
        """`timeout` exists only where an answer or an event is awaited for a time."""
        limited = params.get("seconds") is not None or params.get("until") is not None
        asked = params.get("answer_schema") is not None or params.get("event") is not None
        return ("main", "timeout") if asked and limited else ("main",)

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The answer has the schema that was asked for, or is an event."""
        schema = dict(cls.output_schema() or {})
        asked = params.get("answer_schema") if params.get("event") is None else EVENT_SCHEMA
        if isinstance(asked, dict | bool):
            schema["properties"] = {**schema["properties"], "answer": {"anyOf": [asked, {"type": "null"}]}}
        return schema


def _until(params: WaitParams) -> float | None:
    if params.until is None:
        return None
    try:
        instant = datetime.fromisoformat(params.until)
    except ValueError:
        raise PermanentError(
            f"until is not an RFC 3339 instant: {params.until!r}.",
            pointer="/until",
            hint="Write it like 2027-01-31T09:00:00Z.",
        ) from None
    if instant.tzinfo is None:
        raise PermanentError(
            "until has no time zone.", pointer="/until", hint="End it with Z or an offset like +01:00."
        )
    return instant.timestamp()


class WorkflowCallParams(Params):
    """Which workflow to call with what. `wait: false` goes on without its result."""

    workflow: str = Field(description="Id of the workflow")
    input: JsonValue = Field(default=None, json_schema_extra={"x-aicflow": {"input_of": "workflow"}})
    wait: bool = True
    on_child_failure: Literal["fail", "continue"] = "fail"


class WorkflowCallOutput(Output):
    """How the other execution ended; with `wait: false`, its id."""

    execution_id: str
    status: str
    output: Any = Field(default=None, json_schema_extra={"x-aicflow": {"output_of": "workflow"}})
    error: dict[str, JsonValue] | None = None


class WorkflowCall(Node[WorkflowCallParams, WorkflowCallOutput]):
    """Call another workflow and take its output.

    It may call its own workflow, to repeat a part: calls may be nested 100 deep (AICFLOW_MAX_CALL_DEPTH), then the step
    fails with `too-deep`. Cancelling the caller cancels the called execution; its failure fails this step unless
    `on_child_failure` is `continue`.
    """

    type_id = "workflow.call"
    title = "Call a workflow"
    category = "flow"
    errors: ClassVar[Mapping[str, str]] = {
        "child-failed": "The called execution failed; with retry, the workflow is called again",
        "child-cancelled": "The called execution was cancelled",
        "too-deep": "Workflows that call workflows are nested deeper than the server allows",
    }

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Only a call that waits, and that fails with its child, always has the child's output."""
        schema = dict(cls.output_schema() or {})
        if params.get("wait", True) is not True or params.get("on_child_failure", "fail") != "fail":
            field = {**schema["properties"]["output"], "x-aicflow": {"output_of": "workflow", "nullable": True}}
            schema["properties"] = {**schema["properties"], "output": field}
        return schema

    async def run(self, ctx: Context, params: WorkflowCallParams) -> WorkflowCallOutput | StartChild:
        """Start the child, then say how it ended."""
        if ctx.answer is None:
            return StartChild(params.workflow, params.input, detach=not params.wait)
        result = WorkflowCallOutput.model_validate(ctx.answer.value)
        if result.status in ("failed", "cancelled") and params.on_child_failure == "fail":
            cause: dict[str, Any] = result.error or {}
            failed, details = result.execution_id, cause.get("details")
            if str(cause.get("code")).startswith("child-") and isinstance(details, dict) and "failed" in details:
                cause, failed = details["error"], details["failed"]  # named once, however deep the calls are
            how = result.status if failed == result.execution_id else f"failed, because {failed} did"
            raise PermanentError(
                f"The called execution {result.execution_id} {how}: {cause.get('message', 'no reason')}",
                code="child-" + result.status,
                hint=cause.get("hint"),
                details={"execution_id": result.execution_id, "failed": failed, "error": cause},
            )
        return result


class _BodyNode[P: Params, O](Node[P, O]):
    """What the types of nodes with a body share: the engine runs their bodies."""

    category = "flow"
    pure = True

    async def run(self, ctx: Context, params: P) -> O:
        """Only what is written as a type comes here."""
        name = self.type_id
        raise PermanentError(f"A {name} has a body: write `{name}:` with its nodes in place of `type: {name}`.")


class MapParams(Params):
    """What a map runs over, resolved."""

    over: list[JsonValue]


class FailedItem(Output):
    """An item that failed. `key` is null where the map has none."""

    index: int
    key: str | float | int | None = None
    error: dict[str, JsonValue]


class MapOutput(Output):
    """What a map has done. `items` has an entry for each item (batch) in the order of `over`, null for one that failed;
    by `collect` only the last one, or none."""

    items: list[Any]
    failed: list[FailedItem]
    count: int
    succeeded: int


class MapNode(_BodyNode[MapParams, MapOutput]):
    """Run a body of nodes once for each item of a list.

    Written as `map:` in place of `type:`. Items run `concurrency` at once, each result is durable by itself, and an
    item that has finished never runs again.
    """

    type_id = "map"
    title = "Map"
    errors: ClassVar[Mapping[str, str]] = {
        "item-failed": "An item failed, or more than are tolerated; details say which",
        "too-many-items": "The list is longer than max_items",
        "duplicate-key": "Two items have the same key",
    }


class RepeatParams(Params):
    """What the first pass gets as `carry`, resolved."""

    carry: JsonValue = None


class RepeatOutput(Output):
    """What the last pass gave, how many passes there were, and whether `while` ended them (or `max`)."""

    carry: Any
    passes: int
    done: bool


class RepeatNode(_BodyNode[RepeatParams, RepeatOutput]):
    """Run a body of nodes again and again while a condition holds.

    Written as `repeat:` in place of `type:`. The body's output is what the next pass gets as `carry`. It ends when
    `while` is false, which is asked after each pass, or after `max` passes.
    """

    type_id = "repeat"
    title = "Repeat"
    errors: ClassVar[Mapping[str, str]] = {"pass-failed": "A node in the body failed; details say in which pass"}


class GroupParams(Params):
    """A group takes no params."""


class GroupNode(_BodyNode[GroupParams, Any]):
    """Run a body of nodes as one, with one timeout, one retry and one way to handle errors.

    Written as `group:` in place of `type:`. Its output is the body's.
    """

    type_id = "group"
    title = "Group"
    errors: ClassVar[Mapping[str, str]] = {"group-failed": "A node in the body failed; details say which"}
