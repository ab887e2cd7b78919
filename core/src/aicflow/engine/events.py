"""Events from outside as workflows see them: their names and keys, what is received, and the trigger that they fire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from aicflow.engine.listening import ListeningParams, ListeningTrigger
from aicflow.kernel.node import Output

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


class EventParams(ListeningParams):
    """Which events start the workflow. `filter` is an expression over the event as `trigger`, without `${{ }}`."""

    name: EventName
    key: EventKey = Field(default=None, description="Only events with this key")


class EventTrigger(ListeningTrigger[EventParams, ReceivedEvent]):
    """Start executions by events that are sent with `POST /api/v1/events`.

    Each event starts each workflow once, over restarts and any number of hosts. A filter that is not true for an event
    starts nothing; one that cannot be evaluated is kept as a delivery with the error.
    """

    type_id = "trigger.event"
    title = "Event"

    def looks_for(self, params: EventParams, payload: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """By name, and by key where one is named."""
        return bool(payload["name"] == params.name and params.key in (None, payload["key"]))
