"""From what a sandbox says to what a step's failure says."""

from __future__ import annotations

from typing import Any

from aicflow import NodeError, PermanentError, TransientError

from aicflow_python.sandbox import (
    ForgedAnswer,
    InputRefused,
    LimitExceeded,
    SandboxCrashed,
    SandboxFailure,
    UserCodeError,
)

__all__ = ["CodeRaised", "node_error"]

HINTS = {
    "timeout": "Make the code quicker, or raise the node's `timeout` up to the operator's ceiling.",
    "cpu_seconds": "Make the code quicker, or raise the node's `cpu_seconds` up to the operator's ceiling.",
    "memory_mb": "Use less memory at a time, or raise the node's `memory_mb` up to the operator's ceiling.",
    "stdout_bytes": "Print and log less; return data instead.",
    "result_bytes": "Return less: a count, a page, a reference to where the data is.",
    "input_bytes": "Give the code less in `inputs`.",
}


class CodeRaised(NodeError):
    """The author's code raised. Tried again only where `retry.on` names code-raised or `*`."""

    code = "code-raised"


def node_error(failure: SandboxFailure) -> NodeError:
    """The error to raise for a failed call."""
    details: dict[str, Any] = {"line": failure.line, "excerpt": failure.excerpt}
    match failure:
        case UserCodeError():
            return user_error(failure, details)
        case LimitExceeded():
            details |= {"limit": failure.limit, "ceiling": failure.ceiling}
            # The same code over the same inputs meets the same limit again, but for the clock on the wall.
            kind = TransientError if failure.limit == "timeout" else PermanentError
            pointer = "/inputs" if failure.limit == "input_bytes" else "/code"
            return kind(
                failure.message, code="limit-exceeded", hint=HINTS[failure.limit], pointer=pointer, details=details
            )
        case InputRefused():
            return PermanentError(failure.message, code="inputs-invalid", pointer="/inputs")
        case ForgedAnswer():
            return PermanentError(failure.message, code="sandbox-forged", pointer="/code", details=details)
        case SandboxCrashed():
            details |= {"signal": failure.signal, "exit_code": failure.exit_code}
            return TransientError(failure.message, code="sandbox-crashed", pointer="/code", details=details)
    return TransientError(failure.message, code="sandbox-unavailable")


def user_error(failure: UserCodeError, details: dict[str, Any]) -> NodeError:
    """An error of the author's own code."""
    details |= {"type": failure.type, "frames": [list(frame) for frame in failure.frames]}
    if failure.column is not None:
        details["column"] = failure.column
    if failure.cause is not None:
        details["cause"] = failure.cause
    if failure.type in ("SyntaxError", "IndentationError", "NotJSON"):
        code = "result-invalid" if failure.type == "NotJSON" else "code-invalid"
        message = failure.message if failure.type == "NotJSON" else str(failure)
        return PermanentError(message, code=code, pointer="/code", details=details)
    return CodeRaised(str(failure), pointer="/code", details=details)
