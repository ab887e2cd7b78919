"""Triggers that the host fires for what happens in the store: what they share, and the one for ends of executions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from pydantic import Field, JsonValue, model_validator

from aicflow.kernel.document import LabelName, LabelValue
from aicflow.kernel.errors import PermanentError
from aicflow.kernel.issues import Issue
from aicflow.kernel.node import Output, Params
from aicflow.kernel.trigger import Binding, Overlap, Trigger, Ways

type Ended = Literal["succeeded", "failed", "cancelled"]
_ENDS: Final[tuple[Ended, ...]] = ("succeeded", "failed", "cancelled")


class FilterFailed(PermanentError):
    """A filter could not be evaluated for what happened, or was neither true nor false."""

    code = "filter-failed"


class ListeningParams(Params):
    """What all of them take. `filter` is an expression over the payload as `trigger`, without `${{ }}`."""

    filter: str | None = Field(
        default=None, max_length=4_096, description="Only when it is true, such as trigger.data.total > 100"
    )
    overlap: Literal["allow", "skip", "queue", "cancel_other"] = Field(
        default="allow", description="What to do while an execution that the trigger started has not ended"
    )


class ListeningTrigger[P: ListeningParams, Y](Trigger[P, Y]):
    """A trigger that the host asks about everything that happens."""

    def __init__(self) -> None:
        self.active: dict[str, P] = {}
        """The params by binding."""

    async def activate(self, binding: Binding, params: P) -> None:
        """Look out."""
        self.active[binding.id] = params

    async def deactivate(self, binding: Binding) -> None:
        """Look out no more."""
        self.active.pop(binding.id, None)

    @abstractmethod
    def looks_for(self, params: P, payload: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Whether it is of the kind that these params name. `labels` are those of the workflow that it comes from."""

    def wanted(self, binding: Binding, payload: Mapping[str, Any], labels: Mapping[str, str]) -> Overlap | None:
        """The overlap rule to fire by, None when the binding is not to fire. Raises FilterFailed."""
        params = self.active.get(binding.id)
        if params is None or binding.paused or not self.looks_for(params, payload, labels):
            return None
        if params.filter is not None:
            try:
                found = compile_expression(params.filter).evaluate({"trigger": payload})
            except EvaluationError as error:
                raise FilterFailed(f"The filter could not be evaluated: {error}", pointer="/filter") from None
            if not isinstance(found, bool):
                raise FilterFailed("The filter is neither true nor false.", pointer="/filter")
            if not found:
                return None
        return params.overlap

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """A filter that is not an expression over `trigger`."""
        text = params.get("filter")
        if not isinstance(text, str):
            return ()
        try:
            roots = {reference.root for reference in compile_expression(text).references}
        except ExpressionError as error:
            return [Issue(error.code, "error", "/filter", str(error))]
        unknown = sorted(roots - {"trigger"})
        if unknown:
            say = f"A filter sees the payload as trigger, and nothing else: {', '.join(unknown)}."
            return [Issue("ref.unknown-name", "error", "/filter", say)]
        return ()


class EndedExecution(Output):
    """How an execution ended. Secrets in its output and error are masked. `finished_at` is RFC 3339 in UTC."""

    execution_id: str
    workflow_id: str
    version: int
    status: Ended
    output: Any = Field(json_schema_extra={"x-aicflow": {"output_of": "workflows"}})
    error: dict[str, JsonValue] | None
    finished_at: str


class WorkflowEndParams(ListeningParams):
    """Which ends start the workflow: those of `workflows`, or of all that have these `labels`."""

    workflows: list[str] = Field(
        default=[],
        max_length=100,
        description="Ids of workflows",
        json_schema_extra={"x-aicflow": {"workflow": True}},
    )
    labels: dict[LabelName, LabelValue] = Field(
        default={}, max_length=32, description="In place of ids: labels that the ended workflow must all have"
    )
    status: list[Ended] = Field(default=["succeeded"], min_length=1, description="How the execution must have ended")

    @model_validator(mode="after")
    def _one_way(self) -> WorkflowEndParams:
        if bool(self.workflows) == bool(self.labels):
            raise ValueError("give workflows or labels")
        return self


class WorkflowTrigger(ListeningTrigger[WorkflowEndParams, EndedExecution]):
    """Start executions when executions of other workflows have ended.

    Each end starts each workflow once, over crashes and restarts. A workflow cannot start itself; workflows that start
    each other in a circle are stopped when they are nested deeper than the server allows (AICFLOW_MAX_CALL_DEPTH).
    """

    type_id = "trigger.workflow"
    title = "Another workflow's end"

    def may_want(self, workflow_id: str) -> bool:
        """Whether the end of an execution of this workflow may fire one of the triggers."""
        return any(bool(params.labels) or workflow_id in params.workflows for params in self.active.values())

    def looks_for(self, params: WorkflowEndParams, payload: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """By status, and by id or by the labels that the workflow has now."""
        if payload["status"] not in params.status:
            return False
        if params.workflows:
            return payload["workflow_id"] in params.workflows
        return params.labels.items() <= labels.items()

    @classmethod
    def check_in(cls, params: Mapping[str, Any], document: Mapping[str, Any], ways: Ways | None) -> Sequence[Issue]:
        """Labels that the workflow has itself."""
        labels, own = params.get("labels"), document.get("labels")
        if labels and isinstance(labels, Mapping) and isinstance(own, Mapping) and labels.items() <= own.items():
            hint = "Let the workflow have other labels, or name the others by their ids."
            say = "The workflow has these labels itself, and would start itself without an end."
            return [Issue("call.circle", "error", "/labels", say, hint)]
        return ()

    @classmethod
    def payload_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """With only one status, what is null and what is not is known."""
        schema = dict(cls.payload_schema() or {})
        given = params.get("status", ["succeeded"])
        if not isinstance(given, list) or not given or not set(map(str, given)) <= set(_ENDS):
            return schema
        fields = {**schema["properties"], "status": {"enum": given}}
        if "failed" not in given:
            fields["error"] = {"type": "null"}
        if given != ["succeeded"]:
            mark = {"output_of": "workflows", "nullable": True}
            fields["output"] = {"type": "null"} if "succeeded" not in given else {"x-aicflow": mark}
        return {**schema, "properties": fields}
