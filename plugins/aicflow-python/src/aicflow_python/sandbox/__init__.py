"""Sandboxes for Python code: one port, three backends. Knows nothing of nodes or workflows."""

from .box.restricting import MODULES as RESTRICTED_MODULES
from .checking import Problem, check
from .environments import DEFAULT, Environment
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
from .process import LAYERS, ProcessSandbox
from .protocol import Call, Layers, Sandbox
from .workers import WorkerSandbox

__all__ = [
    "DEFAULT",
    "LAYERS",
    "RESTRICTED_MODULES",
    "Call",
    "Environment",
    "ForgedAnswer",
    "InputRefused",
    "Layers",
    "LimitExceeded",
    "Limits",
    "LogLine",
    "Outcome",
    "Problem",
    "ProcessSandbox",
    "Sandbox",
    "SandboxCrashed",
    "SandboxFailure",
    "SandboxUnavailable",
    "Stats",
    "UserCodeError",
    "WorkerSandbox",
    "check",
]
