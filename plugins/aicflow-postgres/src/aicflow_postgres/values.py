"""How Python's values stand in columns."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from aicflow.ports import (
    indexed as indexed,
)

INLINE: Final = 1024
"""Inputs and triggers up to so many bytes stay in the execution's row, which is written again when it ends."""

LARGE: Final = 16_384
"""From so many bytes on a value is kept once, however often it is stored."""

ROW: Final = """
  e.id, e.workflow_id, e.version, e.status, e.created_at, e.engine, e.started_at, e.finished_at, e.last_seq, e.epoch,
  e.priority, e.cancel_requested, e.wake_at, e.rerun_of, e.idempotency_key, e.limits, e.trigger, e.error,
  e.removed"""


def bytes_of(text: str | None) -> bytes | None:
    """Text of any characters: PostgreSQL's own has no NUL."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def text_of(encoded: bytes | None) -> str | None:
    """The text of `bytes_of`."""
    return None if encoded is None else bytes(encoded).decode("utf-8", "surrogatepass")


def hash_of(body: bytes) -> bytes | None:
    """The hash by which a large value is kept, None for a small one."""
    return sha256(body).digest() if len(body) >= LARGE else None
