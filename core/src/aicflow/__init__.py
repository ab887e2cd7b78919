"""AIC Flow's public face: everything a plugin author imports, and nothing else. Names are loaded when first used."""

from typing import TYPE_CHECKING

from aicflow_language.lazy import lazy_names
from aicflow_language.suggest import did_you_mean

if TYPE_CHECKING:
    from aicflow.charsets import decode_text
    from aicflow.function import node
    from aicflow.kernel.context import Answer, Context, File, Files
    from aicflow.kernel.document import WorkflowDocument
    from aicflow.kernel.errors import (
        AICFlowError,
        Conflict,
        InputInvalid,
        NodeError,
        NotFound,
        PermanentError,
        StepTimeout,
        StoreUnavailable,
        TransientError,
        WorkflowInvalid,
    )
    from aicflow.kernel.execution import Event, Execution, FailureReport, Step
    from aicflow.kernel.hookspecs import hookimpl
    from aicflow.kernel.issues import Issue
    from aicflow.kernel.node import (
        Code,
        Exit,
        HeaderText,
        Node,
        Output,
        Params,
        SecretHeaderText,
        SecretText,
        StartChild,
        Url,
        Wait,
    )
    from aicflow.kernel.records import Command, EngineType, Mount, Observer, Runtime, SecretSource, StoreType
    from aicflow.kernel.trigger import Binding, Delivery, Fired, Trigger, TriggerRuntime, Ways
    from aicflow.kernel.values import JsonError, json_equal, json_type, pointer, pointer_keys, read_json
    from aicflow.problems import Problem, problem_of
    from aicflow.rates import Limiter, Rate, limiter_of
    from aicflow.texts import cut

__version__ = "0.1.0"

__all__ = [
    "AICFlowError",
    "Answer",
    "Binding",
    "Code",
    "Command",
    "Conflict",
    "Context",
    "Delivery",
    "EngineType",
    "Event",
    "Execution",
    "Exit",
    "FailureReport",
    "File",
    "Files",
    "Fired",
    "HeaderText",
    "InputInvalid",
    "Issue",
    "JsonError",
    "Limiter",
    "Mount",
    "Node",
    "NodeError",
    "NotFound",
    "Observer",
    "Output",
    "Params",
    "PermanentError",
    "Problem",
    "Rate",
    "Runtime",
    "SecretHeaderText",
    "SecretSource",
    "SecretText",
    "StartChild",
    "Step",
    "StepTimeout",
    "StoreType",
    "StoreUnavailable",
    "TransientError",
    "Trigger",
    "TriggerRuntime",
    "Url",
    "Wait",
    "Ways",
    "WorkflowDocument",
    "WorkflowInvalid",
    "__version__",
    "cut",
    "decode_text",
    "did_you_mean",
    "hookimpl",
    "json_equal",
    "json_type",
    "lazy_names",
    "limiter_of",
    "node",
    "pointer",
    "pointer_keys",
    "problem_of",
    "read_json",
]

if not TYPE_CHECKING:  # for type checkers, a name that does not exist is an error
    __getattr__ = lazy_names(
        __name__,
        **{
            "kernel.context": "Answer Context File Files",
            "kernel.document": "WorkflowDocument",
            "kernel.errors": "AICFlowError Conflict InputInvalid NodeError NotFound PermanentError StepTimeout"
            " StoreUnavailable TransientError WorkflowInvalid",
            "kernel.execution": "Event Execution FailureReport Step",
            "function": "node",
            "kernel.hookspecs": "hookimpl",
            "kernel.issues": "Issue",
            "kernel.node": "Code Exit HeaderText Node Output Params SecretHeaderText SecretText StartChild Url Wait",
            "kernel.records": "Command EngineType Mount Observer Runtime SecretSource StoreType",
            "kernel.trigger": "Binding Delivery Fired Trigger TriggerRuntime Ways",
            "charsets": "decode_text",
            "kernel.values": "JsonError json_equal json_type pointer pointer_keys read_json",
            "problems": "Problem problem_of",
            "rates": "Limiter Rate limiter_of",
            "texts": "cut",
        },
    )
