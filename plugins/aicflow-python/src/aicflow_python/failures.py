"""From what a sandbox says to what a step's failure says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from aicflow import NodeError, PermanentError, TransientError

from aicflow_python.sandbox import (
    DEFAULT,
    ForgedAnswer,
    InputRefused,
    LimitExceeded,
    SandboxCrashed,
    SandboxFailure,
    UserCodeError,
)

ERRORS: Final[Mapping[str, str]] = {
    "code-raised": "The code raised; `retry.on` may also name the exception's type",
    "code-invalid": "The code does not compile",
    "result-invalid": "The code returned something that is no JSON",
    "limit-exceeded": "A limit was reached",
    "inputs-invalid": "The inputs are no JSON",
    "limit-above-ceiling": "The node asks for more than the operator allows",
    "sandbox-crashed": "The process died",
    "sandbox-forged": "The code got access to the sandbox's own channel",
    "sandbox-unavailable": "There is no sandbox that the operator allows",
}
HINTS = {
    "timeout": "Make the code quicker, or raise the node's `timeout` up to the operator's ceiling.",
    "cpu_seconds": "Make the code quicker, or raise the node's `cpu_seconds` up to the operator's ceiling.",
    "memory_mb": "Use less memory at a time, or raise the node's `memory_mb` up to the operator's ceiling.",
    "stdout_bytes": "Print and log less; return data instead.",
    "result_bytes": "Return less: a count, a page, a reference to where the data is.",
    "input_bytes": "Give the code less in `inputs`.",
    "file_bytes": "Write less, or in several nodes; the operator sets the ceiling.",
}


class CodeRaised(NodeError):
    """The author's code raised. Tried again where `retry.on` names code-raised, the exception's type or `*`."""

    code = "code-raised"


def errors_of(params: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The codes of a node, and the exception types that its code mentions or importable modules define. None for
    modules that the operator added, of which nothing is known here."""
    code = params.get("code")
    if not isinstance(code, str) or params.get("environment", "default") != "default":
        return None
    names = _module_exceptions().union(re.findall(r"\b[A-Z]\w*", code))
    return {**dict.fromkeys(sorted(names), "An exception of the code's own"), **ERRORS}


@cache
def _module_exceptions() -> frozenset[str]:
    return frozenset(
        name
        for module in DEFAULT.allowed
        for name, value in vars(import_module(module)).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    )


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
    hint = 'What comes from outside is in `inputs`, such as inputs["name"].' if failure.type == "NameError" else None
    return CodeRaised(str(failure), pointer="/code", hint=hint, details=details, types=failure.bases)
