"""Python client and workflow builder for AIC Flow: everything a caller imports, and nothing else."""

from aicflow_sdk.build.expr import Expr, expr, when
from aicflow_sdk.build.fn import fn
from aicflow_sdk.build.nodes import Node, Port
from aicflow_sdk.build.text import Code
from aicflow_sdk.build.workflow import Workflow
from aicflow_sdk.client import AICFlow, AsyncAICFlow
from aicflow_sdk.config import Address, find_address
from aicflow_sdk.diff import Change, Diff, diff
from aicflow_sdk.errors import (
    AICFlowError,
    APIError,
    BadRequest,
    BuildError,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionUnsuccessful,
    Forbidden,
    InputInvalid,
    Invalid,
    NotFound,
    ProblemDetail,
    RateLimited,
    RequestTimeout,
    RevisionMismatch,
    ServerError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WaitTimeout,
    WorkflowInvalid,
)
from aicflow_sdk.models import Event, Execution, FailureReport, Issue, NodeType, Step, Trigger, Validation
from aicflow_sdk.models import Workflow as SavedWorkflow
from aicflow_sdk.retry import Retry

__all__ = [
    "AICFlow",
    "AICFlowError",
    "APIError",
    "Address",
    "AsyncAICFlow",
    "BadRequest",
    "BuildError",
    "Change",
    "Code",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "Diff",
    "Event",
    "Execution",
    "ExecutionCancelled",
    "ExecutionFailed",
    "ExecutionUnsuccessful",
    "Expr",
    "FailureReport",
    "Forbidden",
    "InputInvalid",
    "Invalid",
    "Issue",
    "Node",
    "NodeType",
    "NotFound",
    "Port",
    "ProblemDetail",
    "RateLimited",
    "RequestTimeout",
    "Retry",
    "RevisionMismatch",
    "SavedWorkflow",
    "ServerError",
    "Step",
    "TooLarge",
    "Trigger",
    "Unauthorized",
    "Unavailable",
    "UnexpectedReply",
    "Validation",
    "WaitTimeout",
    "Workflow",
    "WorkflowInvalid",
    "diff",
    "expr",
    "find_address",
    "fn",
    "when",
]
