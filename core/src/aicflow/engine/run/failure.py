"""From an exception to a report that a person can act on."""

from __future__ import annotations

import traceback
from dataclasses import fields
from typing import Any, Final

from aicflow.engine.masking import Mask
from aicflow.kernel.errors import AICFlowError, NodeError
from aicflow.kernel.execution import FailureReport

__all__ = ["UNEXPECTED", "report_of", "report_to_json"]

UNEXPECTED: Final = "unexpected-error"
"""The code of an exception that is no NodeError."""
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


def report_to_json(report: FailureReport, mask: Mask | None = None) -> dict[str, Any]:
    """The report as JSON: what is not known is left out, what is long is cut, after `mask` has hidden the secrets."""
    values = ((name, getattr(report, name)) for name in _FIELDS)
    out: dict[str, Any] = {name: value for name, value in values if value is not None and value != {}}
    if mask is not None:
        out = mask.report(out)
    out["message"] = out["message"][:_MESSAGE_LIMIT]
    if isinstance(cause := out.get("details", {}).get("cause"), str):
        out["details"] = {**out["details"], "cause": cause[:_MESSAGE_LIMIT]}
    return out
