"""The error of a node type that an operator has disabled."""

from __future__ import annotations

from aicflow.kernel.errors import Conflict, PermanentError


def node_type_disabled[E: (Conflict, PermanentError)](kind: type[E], type_id: str) -> E:
    """The error of a start, or of a step, that needs a node type which an operator has disabled."""
    return kind(
        f"Node type {type_id!r} is disabled.",
        code="node-type-disabled",
        hint=f"An operator can enable it: PATCH /api/v1/node-types/{type_id}",
    )
