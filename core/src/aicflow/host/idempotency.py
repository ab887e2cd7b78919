"""`Idempotency-Key`: the same request sent again is the same execution."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from aicflow.host.problems import Problem, request_invalid
from aicflow.kernel.ports.executions import Idempotency

__all__ = ["idempotency_of", "mismatch"]

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")


def idempotency_of(header: str | None, caller_id: str, value: Any) -> Idempotency | None:
    """What the store needs to recognise a repeat; None without the header.

    Keys of different API keys never meet. The fingerprint is of what the body says, not of how it is written.
    """
    if header is None:
        return None
    if _KEY.match(header) is None:
        raise request_invalid(
            "invalid", "it must be 1 to 255 visible ASCII characters", name="idempotency-key", where="header"
        )
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fingerprint = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Idempotency(f"executions:{caller_id}", header, fingerprint)


def mismatch(key: str, execution_id: str) -> Problem:
    """The problem of a key that was used for another request."""
    return Problem(
        "idempotency-mismatch",
        f"The idempotency key {key!r} was used before, with another body, for execution {execution_id}.",
        hint="Use a fresh key for a new request.",
    )
