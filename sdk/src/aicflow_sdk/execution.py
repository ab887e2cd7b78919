"""An execution, and the errors that carry one: it has no result, or not in time.

`sdk/generate_models.py` writes the fields, as in `models.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from aicflow_sdk.errors import AICFlowError
from aicflow_sdk.models import ENDED, ExecutionStatus, FailureReport, TriggerInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of one version of a workflow. `input` and `output` are None in lists and for API keys without the
    scope `read`; `output_included` is false there. So it is when `removed` says that retention took the payloads; when
    it took the events, asking for them or for steps raises APIError with the code `removed`."""

    id: str
    workflow_id: str
    version: int
    status: ExecutionStatus
    created_at: datetime
    trigger: TriggerInfo
    engine: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: FailureReport | None = None
    last_seq: int
    priority: int
    cancel_requested: bool
    wake_at: datetime | None = None
    rerun_of: str | None = None
    removed: tuple[Literal["events", "payloads"], ...]
    input: Any = None
    output: Any = None
    output_included: bool = field(default=True, metadata={"present": "output"})

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED

    def result(self) -> Any:
        """The output. Raises ExecutionFailed, ExecutionCancelled, or ExecutionUnsuccessful when it has not ended, or
        its output was left out."""
        if self.status == "succeeded":
            if not self.output_included:
                raise ExecutionUnsuccessful(
                    f"Execution {self.id} succeeded, but its output was left out here.",
                    self,
                    hint="Lists leave outputs out: client.executions.get(execution_id) returns it, for an API key with "
                    "the scope `read`.",
                )
            return self.output
        if self.status == "cancelled":
            raise ExecutionCancelled(f"Execution {self.id} was cancelled.", self)
        if self.status != "failed":
            raise ExecutionUnsuccessful(
                f"Execution {self.id} is {self.status}; it has no result yet.",
                self,
                hint="Wait for its end: client.executions.wait(execution_id).",
            )
        error = self.error
        if error is None:
            raise ExecutionFailed(f"Execution {self.id} failed.", self)
        place = f" at node {error.node_id!r}" if error.node_id else ""
        code = f"\n{error.excerpt}" if error.excerpt else ""
        raise ExecutionFailed(
            f"Execution {self.id} failed{place}: {error.message} [{error.code}]{code}", self, hint=error.hint
        )


class ExecutionUnsuccessful(AICFlowError):
    """The execution has no result, or none yet, or the result was left out of it. `execution` is what was read."""

    def __init__(self, message: str, execution: Execution, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.execution = execution


class ExecutionFailed(ExecutionUnsuccessful):
    """The execution failed; `execution.error` is the report."""


class ExecutionCancelled(ExecutionUnsuccessful):
    """The execution was cancelled."""


class WaitTimeout(AICFlowError, TimeoutError):
    """The execution did not end in time and goes on; `execution` is what was read last."""

    def __init__(self, message: str, execution: Execution) -> None:
        super().__init__(message, hint="The execution goes on: wait again, or cancel it.")
        self.execution = execution
