"""Who makes what is written now."""

from __future__ import annotations

from aicflow.kernel.ports.audit import pending_audit


def author() -> str | None:
    """The actor of the request under way; None when nobody's."""
    pending = pending_audit.get()
    return pending.actor if pending is not None else None
