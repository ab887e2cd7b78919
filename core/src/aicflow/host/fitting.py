"""Limits that follow one another on a value's way: none lets in more than the next one takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aicflow.host.retention import age
from aicflow.host.settings import Settings
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.node import NodeType

__all__ = ["check_limits", "unfitting"]

_PAIRS = (
    ("max_event_bytes", "max_body_bytes", "an event's data comes in a request's body"),
    ("max_state_bytes", "max_body_bytes", "a value of a workflow's state can be set by a request"),
    ("max_body_bytes", "max_output_bytes", "an execution's input must be able to be a step's output"),
    ("max_connections_per_address", "max_connections", "connections of one address are among all of them"),
    ("event_ttl", "event_age", "an event is forgotten after its age"),
)
"""Each first setting must be at most the second one, and why."""


def unfitting(settings: Settings, node_types: Iterable[NodeType]) -> Iterator[str]:
    """What is wrong, a sentence for each pair."""
    for smaller, larger, why in _PAIRS:
        low, high = getattr(settings, smaller), getattr(settings, larger)
        if (age(low) if isinstance(low, str) else low) > (age(high) if isinstance(high, str) else high):
            yield _sentence(f"AICFLOW_{smaller.upper()}", low, f"AICFLOW_{larger.upper()}", high, why)
    most = settings.max_output_bytes
    for cls in node_types:
        try:
            limits = cls.output_limits()
        except AICFlowError:
            continue  # its variables cannot be used, which its health says
        for name, size in limits.items():
            if size > most:
                why = f"what {cls.type_id} returns is a step's output"
                yield _sentence(name, size, "AICFLOW_MAX_OUTPUT_BYTES", most, why)


def _sentence(low_name: str, low: object, high_name: str, high: object, why: str) -> str:
    return f"{low_name}={low} is more than {high_name}={high}, and {why}. Lower the first, or raise the second."


def check_limits(settings: Settings, node_types: Iterable[NodeType]) -> None:
    """Raises AICFlowError."""
    if found := list(unfitting(settings, node_types)):
        raise AICFlowError(" ".join(found), hint="docs/reference/limits.md says how limits fit each other.")
