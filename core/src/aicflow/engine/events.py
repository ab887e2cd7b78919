"""Events from outside as workflows see them: their names and keys, what is received, and the trigger that they fire."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from pydantic import AfterValidator, BeforeValidator, Field

from aicflow.kernel.issues import Issue
from aicflow.kernel.node import Output, Params
from aicflow.kernel.trigger import Binding, Overlap, Trigger

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_MOST_KEY: Final = 512


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(
            "an event's name is 1 to 128 letters, digits and _ . : / -, and begins with a letter or digit, such as "
            "order.paid"
        )
    return value


def _key(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not (isinstance(value, str) and 1 <= len(value) <= _MOST_KEY and "\0" not in value):
        raise ValueError(f"a key is a text of 1 to {_MOST_KEY} characters or an integer")
    return value


_NAME_SCHEMA: Final = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
_KEY_SCHEMA: Final = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": _MOST_KEY}, {"type": "integer"}, {"type": "null"}]
}
EventName = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": _NAME_SCHEMA["pattern"]})]
EventKey = Annotated[
    str | None,
    BeforeValidator(
        _key, json_schema_input_type=Annotated[str, Field(min_length=1, max_length=_MOST_KEY)] | int | None
    ),
]
"""Text; an integer is its digits."""


class ReceivedEvent(Output):
    """An event from outside. `received_at` is RFC 3339 in UTC."""

    id: str
    name: str
    key: str | None
    data: Any
    received_at: str


EVENT_SCHEMA: Final = ReceivedEvent.model_json_schema(mode="serialization")


class EventParams(Params):
    """Which events start the workflow. `filter` is an expression over the event as `trigger`, without `${{ }}`."""

    name: EventName
    key: EventKey = Field(default=None, description="Only events with this key")
    filter: str | None = Field(
        default=None, max_length=4_096, description="Only events for which it is true, such as trigger.data.total > 100"
    )
    overlap: Literal["allow", "skip", "queue", "cancel_other"] = Field(
        default="allow", description="What an event does while an execution that the trigger started has not ended"
    )


class EventTrigger(Trigger[EventParams, ReceivedEvent]):
    """Start executions by events that are sent with `POST /api/v1/events`.

    Each event starts each workflow once, over restarts and any number of hosts. A filter that is not true or cannot
    be evaluated for an event starts nothing.
    """

    type_id = "trigger.event"
    title = "Event"

    def __init__(self) -> None:
        self._params: dict[str, EventParams] = {}

    async def activate(self, binding: Binding, params: EventParams) -> None:
        """Look out for its events."""
        self._params[binding.id] = params

    async def deactivate(self, binding: Binding) -> None:
        """Look out no more."""
        self._params.pop(binding.id, None)

    def wanted(self, binding: Binding, event: Mapping[str, Any]) -> Overlap | None:
        """The overlap rule to fire by, if the event is one that the binding looks out for."""
        params = self._params.get(binding.id)
        if params is None or binding.paused or event["name"] != params.name or params.key not in (None, event["key"]):
            return None
        if params.filter is not None:
            try:
                if compile_expression(params.filter).evaluate({"trigger": event}) is not True:
                    return None
            except EvaluationError:
                return None
        return params.overlap

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """A filter that is not an expression over `trigger`."""
        text = params.get("filter")
        if not isinstance(text, str):
            return ()
        try:
            roots = {reference.root for reference in compile_expression(text).references}
        except ExpressionError as error:
            return [Issue(error.code, "error", "/filter", str(error))]
        unknown = sorted(roots - {"trigger"})
        if unknown:
            say = f"A filter sees the event as trigger, and nothing else: {', '.join(unknown)}."
            return [Issue("ref.unknown-name", "error", "/filter", say)]
        return ()
