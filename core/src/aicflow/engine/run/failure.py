"""What a failed attempt means: a report that a person can act on, and whether and when it is tried again."""

from __future__ import annotations

import random
import traceback
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from aicflow.engine.masking import Mask
from aicflow.kernel.document import Retry
from aicflow.kernel.errors import AICFlowError, NodeError, PermanentError, TransientError
from aicflow.kernel.execution import FailureReport
from aicflow.texts import cut

UNEXPECTED: Final = "unexpected-error"
"""The code of an exception that is no NodeError."""
_LONGEST_RETRY_AFTER = 86_400.0
_MESSAGE_LIMIT = 4_000
_FRAMES = 12
_FIELDS: Final = tuple(field.name for field in fields(FailureReport))


def report_of(error: BaseException, node_id: str, attempt: int) -> FailureReport:
    """What happened, where, and what to do. Frames of the kernel are left out of an unexpected error's traceback."""
    message = str(error) or type(error).__name__
    report = FailureReport(
        code=UNEXPECTED,
        message=message,
        node_id=node_id,
        attempt=attempt,
        error_type=type(error).__name__,
    )
    if isinstance(error, AICFlowError):
        report.hint = error.hint
    if isinstance(error, NodeError):
        report.code = error.code
        report.pointer = error.pointer
        details = dict(error.details)
        line, excerpt = details.pop("line", None), details.pop("excerpt", None)
        report.line = line if isinstance(line, int) else None
        report.excerpt = excerpt if isinstance(excerpt, str) else None
        if error.pointer is None and error.__cause__ is not None:
            details.setdefault("cause", f"{type(error.__cause__).__name__}: {error.__cause__}")
        report.details = details
    else:
        report.details = {"traceback": _frames(error)}
        report.hint = "The node raised an error it does not handle; the traceback shows where."
    return report


def _frames(error: BaseException) -> list[str]:
    """The last frames of the traceback that are not the engine's own."""
    frames = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/aicflow/engine/" not in frame.filename
    ]
    return frames[-_FRAMES:]


def forget_frames(error: BaseException | None) -> None:
    """Let go of the stack of an error that was reported: it holds the execution and everything that its steps left."""
    while error is not None:
        error.__traceback__, error = None, error.__cause__ or error.__context__


def report_to_json(report: FailureReport, mask: Mask | None = None, *, hide: bool = True) -> dict[str, Any]:
    """The report as JSON: what is not known is left out, what is long is cut, after `mask` has hidden the secrets.
    Without `hide` they stay, but for texts that are cut: the beginning of a secret is not recognised later."""
    values = ((name, getattr(report, name)) for name in _FIELDS)
    out: dict[str, Any] = {name: value for name, value in values if value is not None and value != {}}
    if mask is not None and hide:
        out = mask.report(out)
    out["message"] = _short(out["message"], mask)
    if isinstance(cause := out.get("details", {}).get("cause"), str):
        out["details"] = {**out["details"], "cause": _short(cause, mask)}
    return out


def _short(text: str, mask: Mask | None) -> str:
    if len(text) <= _MESSAGE_LIMIT:
        return text
    return cut(text if mask is None else mask.text(text), _MESSAGE_LIMIT)


def retryable(error: BaseException, on: Sequence[str] | None) -> bool:
    """Whether to try again: transient errors always, what `retry.on` names by code or type, and with `*` all that is
    not permanent."""
    if isinstance(error, TransientError):
        return True
    if not on:
        return False
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, NodeError):
        names |= {error.code, *error.types}
    else:
        names.add(UNEXPECTED)
    return not names.isdisjoint(on) or ("*" in on and not isinstance(error, PermanentError))


def backoff(retry: Retry, attempt: int, error: BaseException, chance: random.Random) -> float:
    """Seconds until the attempt after `attempt` (from 1): exponential, capped, full jitter. What the other side asked
    for with Retry-After is the least, up to a day."""
    # the exponent is bounded because multiplier ** attempt overflows long before a thousand attempts
    exponent = min(attempt - 1, 64)
    delay = min(retry.max_delay, retry.initial_delay * min(retry.multiplier**exponent, 1e18))
    if retry.jitter:
        delay = chance.uniform(0.0, delay)
    asked = error.retry_after if isinstance(error, TransientError) else None
    if asked is not None:
        delay = max(delay, min(max(asked, 0.0), _LONGEST_RETRY_AFTER))
    return delay
