"""The kit for plugin authors and for tests of workflows: run a node by itself, run a workflow with fakes, a chat model
that follows a script, and the conformance suites of the ports (`engine_suite`, `store_suite`)."""

from typing import TYPE_CHECKING

from aicflow_language.lazy import lazy_names

from aicflow.testing.chat_replies import Answer, Call, CutStream, Hang, HttpError, MalformedJson
from aicflow.testing.context import LogLine, NodeTable, RecordingContext, run_node

if TYPE_CHECKING:
    from aicflow.testing.chat_server import ChatServer
    from aicflow.testing.workflow import Fake, WorkflowResult, run_workflow

__all__ = [
    "Answer",
    "Call",
    "ChatServer",
    "CutStream",
    "Fake",
    "Hang",
    "HttpError",
    "LogLine",
    "MalformedJson",
    "NodeTable",
    "RecordingContext",
    "WorkflowResult",
    "run_node",
    "run_workflow",
]

# Plain tests of a node need neither the engine nor a web server.
__getattr__ = lazy_names(__name__, chat_server="ChatServer", workflow="Fake WorkflowResult run_workflow")
