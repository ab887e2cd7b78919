"""Sandboxes for Python code: one port, three backends. Knows nothing of nodes or workflows."""

from .environments import Environment
from .limits import Limits
from .outcomes import (
    ForgedAnswer,
    InputRefused,
    LimitExceeded,
    LogLine,
    Outcome,
    SandboxCrashed,
    SandboxFailure,
    SandboxUnavailable,
    Stats,
    UserCodeError,
)
from .process import ProcessSandbox
from .protocol import Call, Layers, Sandbox

__all__ = [
    "Call",
    "Environment",
    "ForgedAnswer",
    "InputRefused",
    "Layers",
    "LimitExceeded",
    "Limits",
    "LogLine",
    "Outcome",
    "ProcessSandbox",
    "Sandbox",
    "SandboxCrashed",
    "SandboxFailure",
    "SandboxUnavailable",
    "Stats",
    "UserCodeError",
]
