"""Executions that executions start: sub-workflows and failure workflows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Protocol

from aicflow.engine.environment import Environment
from aicflow.engine.log import SEALED
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.run.recovery import unseal
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.errors import AICFlowError, NodeError, NotFound, PermanentError
from aicflow.kernel.execution import ACTIVE_STATUSES, TERMINAL_STATUSES, Execution, Started, TriggerInfo
from aicflow.kernel.node import StartChild
from aicflow.kernel.ports.executions import ExecutionFilter, Idempotency, StoredAnswer
from aicflow.kernel.values import dumps, loads

_logger = logging.getLogger("aicflow.engine")


class _Start(Protocol):
    """How an execution is started."""

    async def __call__(
        self,
        workflow_id: str,
        input: Any,
        *,
        trigger: TriggerInfo,
        idempotency: Idempotency,
        priority: int = 0,
        hidden: Collection[str] = (),
        item_of: Execution | None = None,
    ) -> Started: ...


class Children:
    """Starts, follows and cancels children. Keys make every start happen once, whatever crashes in between.

    `start` and `cancel` are those of the front door; `deliver` hands an answer to an execution that is held here."""

    def __init__(
        self,
        env: Environment,
        *,
        start: _Start,
        cancel: Callable[[str], Awaitable[Any]],
        deliver: Callable[[str, StoredAnswer], None],
    ) -> None:
        self._env = env
        self._start = start
        self._cancel = cancel
        self._deliver = deliver

    async def start(
        self,
        parent: Execution,
        step_id: str,
        number: int,
        call: StartChild,
        hidden: Collection[str] = (),
        *,
        isolates: bool = False,
    ) -> str:
        """Start the step's child of this number; returns its id, the same after a recovery. `hidden` are values that
        the parent's nodes masked. With `isolates` it runs an item of the parent's own map. Raises NodeError."""
        depth = (parent.trigger.depth or 0) + 1
        if depth >= self._env.options.max_depth:
            raise PermanentError(
                f"Workflows call workflows {depth} deep, which is the limit of this server.",
                code="too-deep",
                hint="Does a workflow call itself without an end? The setting AICFLOW_MAX_CALL_DEPTH is the limit.",
            )
        trigger = TriggerInfo(
            kind="item" if isolates else "workflow",
            parent_execution_id=parent.id,
            parent_node_id=None if call.detach else step_id,
            parent_call=None if call.detach else number,
            depth=depth,
            traceparent=parent.trigger.traceparent,
        )
        # the first one is called as earlier versions called it, which may have started it
        name = f"{parent.id}:{step_id}" + (f":{number}" if number > 1 else "")
        key = Idempotency("child", name, "", owner=parent.id)
        try:
            start = partial(
                self._start,
                parent.workflow_id if isolates else call.workflow,
                call.input,
                trigger=trigger,
                idempotency=key,
                priority=parent.priority,
                hidden=hidden,
                item_of=parent if isolates else None,
            )
            return (await retry_while_unavailable(start)).execution_id
        except AICFlowError as error:
            # what was started before a crash stays started, whatever has become of its workflow since
            used = await retry_while_unavailable(partial(self._env.store.idempotency.find, key.scope, key.key))
            if used is not None:
                return used.result
            if isinstance(error, NodeError):
                raise
            raise PermanentError(f"The sub-workflow could not start: {error.message}", hint=error.hint) from error

    async def result(self, execution_id: str) -> dict[str, Any] | None:
        """The child's status, output and error once it ended, else None."""
        executions = self._env.store.executions
        try:
            child = await retry_while_unavailable(partial(executions.get, execution_id))
        except NotFound:
            return {"execution_id": execution_id, "status": "failed", "output": None, "error": {"code": "gone"}}
        if child.status not in TERMINAL_STATUSES:
            return None
        if "payloads" in child.removed:
            gone = {"code": "removed", "message": f"Retention has removed the output of execution {child.id}."}
            return {"execution_id": child.id, "status": "failed", "output": None, "error": gone}
        output = child.output
        # what is stored of an output that held a secret is masked, and the real one sealed beside it
        sealed = (await retry_while_unavailable(partial(executions.outputs, child.id, [SEALED]))).get(SEALED)
        if sealed is not None:
            output = loads(unseal(self._env.seal, child.id, SEALED, sealed)[2])
        error = report_to_json(child.error) if child.error is not None else None
        return {"execution_id": child.id, "status": child.status, "output": output, "error": error}

    async def cancel(self, parent_id: str, step_id: str | None = None) -> None:
        """Cancel what an execution (or only this step of it) started and waits for."""
        where = ExecutionFilter(parent_execution_id=parent_id, statuses=ACTIVE_STATUSES)
        cursor: str | None = None
        while True:
            read = partial(self._env.store.executions.list, where, limit=200, cursor=cursor)
            page = await retry_while_unavailable(read)
            for child in page.items:
                if child.trigger.parent_node_id is not None and step_id in (None, child.trigger.parent_node_id):
                    await retry_while_unavailable(partial(self._cancel, child.id))
            cursor = page.next_cursor
            if cursor is None:
                return

    async def start_on_failure(self, execution: Execution, workflow_id: str, report: dict[str, Any]) -> None:
        """Start the failure workflow once for the execution. That it cannot start is logged: the execution's own
        failure is what matters."""
        input = {
            "execution_id": execution.id,
            "workflow_id": execution.workflow_id,
            "version": execution.version,
            "input": execution.input,
            "error": report,
        }
        depth = (execution.trigger.depth or 0) + 1
        trigger = TriggerInfo(
            kind="failure",
            parent_execution_id=execution.id,
            payload=report,
            depth=depth,
            traceparent=execution.trigger.traceparent,
        )
        try:
            key = Idempotency("on_failure", execution.id, "", owner=execution.id)
            await retry_while_unavailable(partial(self._start, workflow_id, input, trigger=trigger, idempotency=key))
        except AICFlowError as error:
            _logger.warning("on_failure workflow %s of %s could not start: %s", workflow_id, execution.id, error)

    def ended(self, execution: Execution) -> None:
        """Tell the step that waits for this execution of its end. The store has kept the answer together with the
        end."""
        trigger = execution.trigger
        if trigger.parent_execution_id is None or trigger.parent_node_id is None:
            return
        answer = StoredAnswer(
            trigger.parent_node_id, "answered", dumps({"child": execution.id}), trigger.parent_call or 0
        )
        self._deliver(trigger.parent_execution_id, answer)
        self._env.wake()
