"""What retention takes from an ended execution before the execution itself: its events, or its payloads.

Payloads are the input, what the trigger gave, outputs of the execution, its steps and items, keys of items, and the
hold on files; events go on saying what ran when, and why it failed. With the events go outputs of steps and items,
which nobody finds without them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal, Protocol, runtime_checkable

from aicflow.events import encode_event
from aicflow.kernel.errors import Conflict
from aicflow.kernel.values import dumps, loads

type ExecutionPart = Literal["events", "payloads"]

PARTS: Final[tuple[ExecutionPart, ...]] = ("events", "payloads")
PART_BITS: Final[dict[ExecutionPart, int]] = {"events": 1, "payloads": 2}
"""How stores keep which parts are gone: the sum of these."""

OWN_PAYLOADS: Final = ("$input", "$trigger", "$output")
"""Names of payloads that stay when the events go, as they are no outputs of steps."""

LATEST_END: Final = 3600.0
"""Seconds after its own end within which an end is written at the latest, also by a host that waited for its store."""

_SETTINGS: Final[dict[ExecutionPart, str]] = {"events": "AICFLOW_EVENT_LOG_AGE", "payloads": "AICFLOW_PAYLOAD_AGE"}
# what is not named here goes: a new field of an event is a value until it is known to be none
_KEPT: Final = frozenset({
    "workflow_id", "version", "trigger", "masked", "engine", "claim", "reused_from", "port", "reason", "nodes", "until",
    "until_seconds", "retry_at", "delay", "call", "asked", "child", "again", "woken", "node_id", "count", "ended",
    "failed", "passes", "level", "message",
})  # fmt: skip
_KEPT_OF_ERRORS: Final = frozenset({"code", "message", "node_id", "attempt", "error_type", "pointer", "hint", "line"})


@runtime_checkable
class RemovesParts(Protocol):
    """A store's housekeeping that can remove parts of executions."""

    async def remove_part(self, part: ExecutionPart, *, ended_before: float, batch: int = 200) -> int:
        """Remove this part of up to `batch` executions that ended before and still have it; returns of how many. Call
        again until it returns 0. `Execution.removed` then names it, and asking for the events raises Conflict
        `removed`. Cut short, it is done again."""
        ...


def parts_of(bits: int) -> tuple[ExecutionPart, ...]:
    """The parts that a store's number says are gone."""
    return tuple(part for part in PARTS if bits & PART_BITS[part]) if bits else ()


def check_kept(execution_id: str, removed: Collection[str], *parts: ExecutionPart) -> None:
    """Raises Conflict `removed` when one of the parts is gone."""
    for part in parts:
        if part in removed:
            raise Conflict(
                f"The {part} of execution {execution_id} were removed.",
                code="removed",
                hint=f"The server's setting {_SETTINGS[part]} says how long they are kept.",
            )


def lost_events(execution_id: str, first_seq: int, last_seq: int, at: float) -> list[bytes]:
    """What stands in for events that cannot be read."""
    return [encode_event(seq, at, "event.lost", execution_id) for seq in range(first_seq, last_seq + 1)]


def without_values(events: Iterable[bytes]) -> list[bytes]:
    """The encoded events, without the values in them."""
    return [_without_values(event) for event in events]


def _without_values(encoded: bytes) -> bytes:
    event: dict[str, Any] = loads(encoded)
    data = event["data"]
    kept = {name: value for name, value in data.items() if name in _KEPT}
    if isinstance(error := data.get("error"), dict):
        kept["error"] = {name: value for name, value in error.items() if name in _KEPT_OF_ERRORS}
    return encoded if kept == data else dumps({**event, "data": kept})
