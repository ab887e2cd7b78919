"""Starting executions, following them, and changing their course."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from aicflow_sdk.decode import decode
from aicflow_sdk.errors import AICFlowError
from aicflow_sdk.execution import Execution, WaitTimeout
from aicflow_sdk.follow import follow, follow_all
from aicflow_sdk.messages import instant, keyed, without_none
from aicflow_sdk.models import BulkResult, Event, ExecutionStatus, Item, Scaling, Statistics, Step, StepStatus, Workflow
from aicflow_sdk.resources.base import Labels, Resource, id_of, labels_text
from aicflow_sdk.session import AsyncItems, AsyncPages

_ANSWER_WAIT = 30
"""Seconds that the starting request itself waits: proxies commonly cut at sixty."""
_EVENTS_PAGE = 1000
_SLOWEST_POLL = 2.0


class _Same:
    def __repr__(self) -> str:
        return "SAME"


SAME: Final = _Same()
"""The input that the execution had before."""

type Statuses = ExecutionStatus | Sequence[ExecutionStatus]
type ItemStatus = Literal["running", "waiting", "succeeded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    data: tuple[Event, ...]
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Why:
    sentence: str


class AsyncExecutions(Resource):
    """Starting executions, following them, and changing their course."""

    async def start(
        self,
        workflow: str | Workflow,
        input: Any = None,
        *,
        version: int | None = None,
        priority: int = 0,
        engine: str | None = None,
        idempotency_key: str | None = None,
        wait: int = 0,
    ) -> Execution:
        """Start an execution; it is durable when this returns.

        It is sent with an idempotency key, a random one by default, so that sending it again after a lost reply
        returns the same execution. `version` is the newest unless named; higher `priority` is claimed first; `wait` is
        how many seconds the server may wait for its end before it replies. Raises NotFound, Conflict (the workflow is
        switched off), InputInvalid.
        """
        body = {"workflow_id": id_of(workflow), "input": input}
        return await self._session.call(
            Execution,
            "POST",
            "executions",
            json=body | without_none(version=version, priority=priority or None, engine=engine),
            headers=keyed(idempotency_key) | ({"prefer": f"wait={int(wait)}"} if wait > 0 else {}),
            extra_time=float(max(0, wait)),
        )

    async def run(
        self,
        workflow: str | Workflow,
        input: Any = None,
        *,
        timeout: float | None = None,
        version: int | None = None,
        priority: int = 0,
        engine: str | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Start an execution and wait for its end, however it ends: `.result()` returns its output or raises. Raises
        WaitTimeout when it has not ended after `timeout` seconds; it goes on then."""
        deadline = None if timeout is None else self._session.transport.now() + timeout
        execution = await self.start(
            workflow,
            input,
            version=version,
            priority=priority,
            engine=engine,
            idempotency_key=idempotency_key,
            wait=_ANSWER_WAIT if timeout is None else min(_ANSWER_WAIT, int(timeout)),
        )
        return await self._ended(execution, timeout, deadline)

    async def get(self, execution_id: str) -> Execution:
        """An execution with its input, and its output or error once it has ended. Raises NotFound."""
        return await self._session.call(Execution, "GET", "executions", execution_id)

    def list(
        self,
        *,
        workflow_id: str | None = None,
        status: Statuses | None = None,
        trigger_kind: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        labels: Labels | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> AsyncPages[Execution]:
        """Executions without their inputs and outputs, newest first; which meet every condition. At most `limit`.

        `labels` are those of their workflow (`{"team": "billing"}`, None for any value). `q` is a part of the input,
        the output, the error or a label, in any case of ASCII letters."""
        return AsyncPages(
            self._session,
            Execution,
            "executions",
            limit=limit,
            workflow_id=workflow_id,
            status=status,
            trigger_kind=trigger_kind,
            created_after=created_after,
            created_before=created_before,
            labels=labels_text(labels),
            q=q,
        )

    async def wait(self, execution_id: str, *, timeout: float | None = None) -> Execution:
        """The execution once it has ended. Raises WaitTimeout after `timeout` seconds."""
        execution = await self.get(execution_id)
        return await self._ended(
            execution, timeout, None if timeout is None else self._session.transport.now() + timeout
        )

    async def _ended(self, execution: Execution, timeout: float | None, deadline: float | None) -> Execution:
        """The stream tells the end at once; where it cannot be had (a proxy without WebSockets), the execution is asked
        for now and then."""
        now = self._session.transport.now
        if not execution.ended and (deadline is None or deadline > now()):
            with suppress(AICFlowError):  # the next request shows whether the server is there at all
                async for _ in follow(self._session, execution.id, execution.last_seq, deadline=deadline):
                    pass
        delay = 0.05
        while not execution.ended:
            execution = await self.get(execution.id)
            if execution.ended:
                break
            left = None if deadline is None else deadline - now()
            if left is not None and left <= 0:
                text = f"Execution {execution.id} is still {execution.status} after {timeout:g} s."
                raise WaitTimeout(text, execution)
            await self._session.transport.sleep(delay if left is None else min(delay, left))
            delay = min(delay * 2, _SLOWEST_POLL)
        return execution

    def stream(self, execution_id: str, *, after: int = 0, live: bool = True) -> AsyncItems[Event]:
        """The events with a seq above `after`: stored ones, then new ones as they happen, until the execution's last. A
        broken connection is opened again where it stopped: no event is missing, none comes twice. `live=False` leaves
        out what nodes emit while they run (`step.delta`), which is not stored and not repeated."""
        return AsyncItems(follow(self._session, execution_id, after, live=live))

    def stream_all(self, *, workflow_id: str | None = None, status: Statuses | None = None) -> AsyncItems[Event]:
        """What happens to all executions from now on, without an end. What is missed while a broken connection is
        opened again, or by a slow reader, is lost: an event `stream.lost` takes its place."""
        return AsyncItems(follow_all(self._session, workflow_id=workflow_id, status=status))

    def events(self, execution_id: str, *, after: int = 0) -> AsyncItems[Event]:
        """The events so far with a seq above `after`, page by page."""
        return AsyncItems(self._events(execution_id, after))

    async def _events(self, execution_id: str, after: int) -> AsyncGenerator[Event]:
        while True:
            query = {"after": after, "limit": _EVENTS_PAGE}
            page = await self._session.call(_Events, "GET", "executions", execution_id, "events", query=query)
            for event in page.data:
                yield event
            if len(page.data) < _EVENTS_PAGE:
                return
            after = page.last_seq

    async def steps(
        self,
        execution_id: str,
        *,
        parent: str | None = None,
        status: StepStatus | Sequence[StepStatus] | None = None,
        outputs: bool = False,
    ) -> tuple[Step, ...]:
        """The steps in the order they began; with `outputs` also what they returned, which may be large. Those inside
        of a map, a repeat or a group with `parent`: "each[17]" for one item's, "each" for those of all, by index."""
        fields = "output" if outputs else None
        query = {"parent": parent, "status": status, "fields": fields}
        pages = AsyncPages(self._session, Step, "executions", execution_id, "steps", limit=None, **query)
        return tuple([step async for step in pages])

    def items(
        self,
        execution_id: str,
        node_id: str,
        *,
        status: ItemStatus | Sequence[ItemStatus] | None = None,
        outputs: bool = False,
        limit: int | None = None,
    ) -> AsyncPages[Item]:
        """The items of a map, or the passes of a repeat, by index: those that have ended, and those at work. With
        `outputs` also what they returned. At most `limit`. A map inside of an item is "each[3].inner"."""
        query = {"status": status, "fields": "output" if outputs else None}
        path = ("executions", execution_id, "steps", node_id, "items")
        return AsyncPages(self._session, Item, *path, limit=limit, **query)

    async def output(self, execution_id: str, node_id: str) -> Any:
        """What one step returned. Raises NotFound when it has returned nothing yet."""
        return await self._session.call(object, "GET", "executions", execution_id, "steps", node_id, "output")

    async def why(self, execution_id: str) -> str:
        """What it is doing, or why it ended as it did, in a sentence."""
        return decode(_Why, await self._session.call(object, "GET", "executions", execution_id, "why")).sentence

    async def scaling(self, *, queue: str | None = None) -> Scaling:
        """How many workers are wanted, of one queue or of all, for an autoscaler."""
        return await self._session.call(Scaling, "GET", "scaling", query={"queue": queue})

    async def statistics(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
        workflow_id: str | None = None,
    ) -> Statistics:
        """How executions ended, by time and by workflow: of the last day unless `since` and `until` say otherwise, in
        steps of `step` seconds (whole minutes; whole hours for more than a day)."""
        query = {"since": since, "until": until, "step": step, "workflow_id": workflow_id}
        return await self._session.call(Statistics, "GET", "statistics", query=query)

    async def cancel(self, execution_id: str) -> Execution:
        """Ask for its end, which comes within two seconds. After the end it changes nothing."""
        return await self._session.call(Execution, "POST", "executions", execution_id, "cancel", repeatable=True)

    async def resume(
        self,
        execution_id: str,
        value: Any = None,
        *,
        node_id: str | None = None,
        action: Literal["answered", "retry", "skip", "fail"] = "answered",
    ) -> Execution:
        """Answer a waiting step with `value`; `node_id` may be left out when one step waits. `retry`, `skip` and `fail`
        settle it otherwise. Raises Conflict when none waits, InputInvalid when the answer does not fit."""
        body = {"action": action, "value": value} | without_none(node_id=node_id)
        return await self._session.call(Execution, "POST", "executions", execution_id, "resume", json=body)

    async def rerun(
        self,
        execution_id: str,
        *,
        input: Any = SAME,
        version: Literal["pinned", "latest"] | int = "pinned",
        from_node: str | None = None,
        reuse: Literal["succeeded"] | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Make a new execution from an old one. `from_node` reuses the outputs of everything not downstream of it;
        where it is a map, `reuse="succeeded"` its items that succeeded, so that only failed and missing ones run."""
        body = {"version": version} | ({} if input is SAME else {"input": input})
        body |= without_none(from_node=from_node, reuse=reuse)
        headers = keyed(idempotency_key)
        return await self._session.call(
            Execution, "POST", "executions", execution_id, "rerun", json=body, headers=headers
        )

    async def bulk_cancel(
        self,
        *,
        workflow_id: str | None = None,
        status: Statuses | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = None,
        idempotency_key: str | None = None,
    ) -> BulkResult:
        """Cancel those that meet every condition (at least one must be given) and have not ended. A result for each."""
        body = _conditions(workflow_id, status, created_after, created_before, limit)
        return await self._bulk("bulk-cancel", body, idempotency_key)

    async def bulk_rerun(
        self,
        *,
        workflow_id: str | None = None,
        status: Statuses | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = None,
        idempotency_key: str | None = None,
    ) -> BulkResult:
        """Rerun those that meet every condition (at least one must be given): failed and cancelled ones, unless
        `status` says which. A result for each: what fails for one holds up no other."""
        body = _conditions(workflow_id, status, created_after, created_before, limit)
        return await self._bulk("bulk-rerun", body, idempotency_key)

    async def _bulk(self, action: str, body: dict[str, Any], idempotency_key: str | None) -> BulkResult:
        headers = keyed(idempotency_key)  # extra time, for it does them one after the other
        return await self._session.call(
            BulkResult, "POST", "executions", action, json=body, headers=headers, extra_time=60.0
        )


def _conditions(
    workflow_id: str | None,
    status: Statuses | None,
    created_after: datetime | None,
    created_before: datetime | None,
    limit: int | None,
) -> dict[str, Any]:
    return without_none(
        workflow_id=workflow_id,
        status=[status] if isinstance(status, str) else None if status is None else [*status],
        created_after=created_after and instant("created_after", created_after),
        created_before=created_before and instant("created_before", created_before),
        limit=limit,
    )
