"""The kit for plugin authors: run a node without a server, record what it said, conformance suites for ports."""

from aicflow.testing.context import LogLine, NodeTable, RecordingContext, run_node

__all__ = ["LogLine", "NodeTable", "RecordingContext", "run_node"]
