"""Python client and workflow builder for AIC Flow: everything a caller imports, and nothing else.

Most names are loaded when they are first asked for: building workflows does not wait for the HTTP client.
"""

from typing import TYPE_CHECKING

from aicflow_language.lazy import lazy_names

from aicflow_sdk.errors import (
    AICFlowError,
    APIError,
    BadRequest,
    BuildError,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
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
    WorkflowInvalid,
)

if TYPE_CHECKING:
    from aicflow_sdk.build.bodies import Body
    from aicflow_sdk.build.expr import Expr, expr, when
    from aicflow_sdk.build.fn import fn
    from aicflow_sdk.build.nodes import Node, Port
    from aicflow_sdk.build.text import Code
    from aicflow_sdk.build.workflow import Workflow
    from aicflow_sdk.client import AICFlow, AsyncAICFlow
    from aicflow_sdk.config import Address, find_address
    from aicflow_sdk.documents import Change, Diff, diff
    from aicflow_sdk.execution import Execution, ExecutionCancelled, ExecutionFailed, ExecutionUnsuccessful, WaitTimeout
    from aicflow_sdk.models import (
        Event,
        FailureReport,
        Issue,
        Item,
        NodeType,
        SavedWorkflow,
        Step,
        StoredFile,
        Trigger,
        Validation,
    )
    from aicflow_sdk.retry import Retry

__all__ = [
    "AICFlow",
    "AICFlowError",
    "APIError",
    "Address",
    "AsyncAICFlow",
    "BadRequest",
    "Body",
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
    "Item",
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
    "StoredFile",
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

__getattr__ = lazy_names(
    __name__,
    **{
        "build.bodies": "Body",
        "build.expr": "Expr expr when",
        "build.fn": "fn",
        "build.nodes": "Node Port",
        "build.text": "Code",
        "build.workflow": "Workflow",
        "client": "AICFlow AsyncAICFlow",
        "config": "Address find_address",
        "documents": "Change Diff diff",
        "execution": "Execution ExecutionCancelled ExecutionFailed ExecutionUnsuccessful WaitTimeout",
        "models": "Event FailureReport Issue Item NodeType SavedWorkflow Step StoredFile Trigger Validation",
        "retry": "Retry",
    },
)
