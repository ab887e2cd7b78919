"""Executions that executions start: sub-workflows and failure workflows."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from aicflow.engine.log import SEALED
from aicflow.engine.patience import patient
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.run.recovery import unseal
from aicflow.kernel.errors import AICFlowError, NodeError, NotFound, PermanentError
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution, TriggerInfo
from aicflow.kernel.node import StartChild
from aicflow.kernel.ports.executions import Answered, ExecutionFilter, Idempotency
from aicflow.kernel.values import dumps, loads

if TYPE_CHECKING:
    from aicflow.engine.executions import Executions


__all__ = ["ChildExecutions"]

_logger = logging.getLogger("aicflow.engine")


class ChildExecutions:
    """Starts, follows and cancels children. Keys make every start happen once, whatever crashes in between."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    async def start_child(self, parent: Execution, node_id: str, number: int, call: StartChild) -> str:
        """Start the step's child of this number; returns its id, the same after a recovery. Raises PermanentError."""
        depth = (parent.trigger.depth or 0) + 1
        if depth >= self._executions.options.max_depth:
            raise PermanentError(
                f"Workflows call workflows {depth} deep, which is the limit of this server.",
                code="too-deep",
                hint="Does a workflow call itself without an end? The setting AICFLOW_MAX_CALL_DEPTH is the limit.",
            )
        trigger = TriggerInfo(
            kind="workflow",
            parent_execution_id=parent.id,
            parent_node_id=None if call.detach else node_id,
            parent_call=None if call.detach else number,
            depth=depth,
        )
        # the first one is called as earlier versions called it, which may have started it
        name = f"{parent.id}:{node_id}" + (f":{number}" if number > 1 else "")
        key = Idempotency("child", name, "", owner=parent.id)
        try:
            started = await patient(
                partial(
                    self._executions.start,
                    call.workflow,
                    call.input,
                    trigger=trigger,
                    idempotency=key,
                    priority=parent.priority,
                )
            )
        except AICFlowError as error:
            # what was started before a crash stays started, whatever has become of its workflow since
            used = await patient(partial(self._executions.store.idempotency.find, key.scope, key.key))
            if used is not None:
                return used.result
            if isinstance(error, NodeError):
                raise
            raise PermanentError(f"The sub-workflow could not start: {error.message}", hint=error.hint) from error
        return started.execution_id

    async def child_result(self, execution_id: str) -> dict[str, Any] | None:
        """The child's status, output and error once it ended, else None."""
        try:
            child = await patient(partial(self._executions.get, execution_id))
        except NotFound:
            return {"execution_id": execution_id, "status": "failed", "output": None, "error": {"code": "gone"}}
        if child.status not in TERMINAL_STATUSES:
            return None
        return {
            "execution_id": child.id,
            "status": child.status,
            "output": await self._real_output(child),
            "error": report_to_json(child.error) if child.error is not None else None,
        }

    async def _real_output(self, child: Execution) -> Any:
        """The child's output; what is stored of one that held a secret is masked, and the real one sealed beside it."""
        store = self._executions.store.executions
        kept = (await patient(partial(store.outputs, child.id, [SEALED]))).get(SEALED)
        return child.output if kept is None else loads(unseal(self._executions.seal, child.id, SEALED, kept)[2])

    async def cancel_children(self, parent_id: str, node_id: str | None = None) -> None:
        """Cancel what an execution (or only this step of it) started and waits for."""
        where = ExecutionFilter(parent_execution_id=parent_id, statuses=frozenset({"queued", "running", "waiting"}))
        cursor: str | None = None
        while True:
            page = await patient(partial(self._executions.store.executions.list, where, limit=200, cursor=cursor))
            for child in page.items:
                if child.trigger.parent_node_id is not None and node_id in (None, child.trigger.parent_node_id):
                    await patient(partial(self._executions.cancel, child.id))
            cursor = page.next_cursor
            if cursor is None:
                return

    async def start_on_failure(self, execution: Execution, workflow_id: str, report: dict[str, Any]) -> None:
        """Start the failure workflow once for the execution. That it cannot start is logged: the execution's own
        failure is what matters."""
        given = {
            "execution_id": execution.id,
            "workflow_id": execution.workflow_id,
            "version": execution.version,
            "input": execution.input,
            "error": report,
        }
        depth = (execution.trigger.depth or 0) + 1
        trigger = TriggerInfo(kind="failure", parent_execution_id=execution.id, payload=report, depth=depth)
        try:
            key = Idempotency("on_failure", execution.id, "", owner=execution.id)
            await patient(partial(self._executions.start, workflow_id, given, trigger=trigger, idempotency=key))
        except AICFlowError as error:
            _logger.warning("on_failure workflow %s of %s could not start: %s", workflow_id, execution.id, error)

    async def ended(self, execution: Execution) -> None:
        """Tell the step that waits for a child of its end. The store has kept the answer together with the end."""
        parent, node = execution.trigger.parent_execution_id, execution.trigger.parent_node_id
        if parent is None or node is None:
            return
        answer = Answered(node, "answered", dumps({"child": execution.id}), execution.trigger.parent_call or 0)
        self._executions.worker.deliver(parent, answer)
        self._executions.wake()
