"""Sandboxes for Python code: one port, three backends. Knows nothing of nodes or workflows."""

from .box.restricting import MODULES as RESTRICTED_MODULES
from .code_checker import Problem, check
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
from .port import DEFAULT, Call, Environment, Layers, Limits, Sandbox
from .process_sandbox import LAYERS, ProcessSandbox
from .worker_sandbox import WorkerSandbox

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
