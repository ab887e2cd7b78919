"""The kit for plugin authors and for tests of workflows: run a node by itself, run a workflow with fakes, and the
conformance suites of the ports (`engine_suite`, `store_suite`)."""

from typing import TYPE_CHECKING, Any

from aicflow.testing.context import LogLine, NodeTable, RecordingContext, run_node

if TYPE_CHECKING:
    from aicflow.testing.workflow import Fake, WorkflowResult, run_workflow

__all__ = ["Fake", "LogLine", "NodeTable", "RecordingContext", "WorkflowResult", "run_node", "run_workflow"]


def __getattr__(name: str) -> Any:
    if name in ("Fake", "WorkflowResult", "run_workflow"):  # these need the engine, which plain node tests do not
        from aicflow.testing import workflow

        return getattr(workflow, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
