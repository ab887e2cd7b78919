"""Fixtures for tests of nodes and workflows, loaded by pytest through its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aicflow.testing.context import RecordingContext


@pytest.fixture
def recording_context() -> RecordingContext:
    """A context that keeps what a node logs and emits."""
    from aicflow.testing.context import RecordingContext

    return RecordingContext()


@pytest.fixture
def workflow_runner() -> Any:
    """`aicflow.testing.run_workflow`."""
    from aicflow.testing.workflow import run_workflow

    return run_workflow
