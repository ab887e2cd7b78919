"""What the host lends to trigger types: firing, waiting, state and secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any, Final

from aicflow.engine import Executions
from aicflow.engine.files import file_of
from aicflow.engine.ids import new_id
from aicflow.engine.secrets import Secrets
from aicflow.engine.starting import StartedBy
from aicflow.host.audit import Auditor
from aicflow.kernel.clock import Clock
from aicflow.kernel.context import File
from aicflow.kernel.errors import AICFlowError, Conflict, KeyUsed, NotFound, StoreUnavailable
from aicflow.kernel.execution import ACTIVE_STATUSES, Execution, Step
from aicflow.kernel.ports.executions import ExecutionFilter, Fire, Idempotency
from aicflow.kernel.ports.store import Store
from aicflow.kernel.trigger import Binding, Delivery, Fired, Overlap
from aicflow.kernel.values import JsonObject, dumps, loads

_KEPT: Final = 600.0
"""Seconds that a file is there until an execution holds it."""


class HostTriggerRuntime:
    """The `TriggerRuntime` of this host."""

    def __init__(
        self,
        executions: Executions,
        store: Store,
        secrets: Secrets,
        clock: Clock,
        max_body_bytes: int,
        auditor: Auditor,
    ) -> None:
        self._auditor = auditor
        self.clock = clock
        self.max_body_bytes = max_body_bytes
        self._executions = executions
        self._store = store
        self._secrets = secrets
        self.failures: Counter[str] = Counter()
        """By trigger type: how often a fire started nothing because of an error."""

    async def fire(
        self,
        binding: Binding,
        payload: Any,
        *,
        key: str | None = None,
        scheduled_for: float | None = None,
        overlap: Overlap = "allow",
        version: int | None = None,
        idempotency: Idempotency | None = None,
        traceparent: str | None = None,
        depth: int | None = None,
        by: StartedBy | None = None,
    ) -> Fired:
        """As `TriggerRuntime.fire`; `depth` is how many executions started each other before, `by` whose request
        fires it. Raises also KeyUsed."""
        now = self.clock.now()
        encoded, delivery_id = dumps(payload), new_id("dl", now)
        fire = Fire(
            binding.id,
            key,
            delivery_id=delivery_id,
            received_at=now,
            scheduled_for=scheduled_for,
            payload=self._executions.vault.keep_encoded(f"delivery {delivery_id}", encoded),
        )
        try:
            with self._auditor.of_trigger(binding.id) as told:
                started = await self._executions.fire(
                    binding.workflow_id,
                    binding.trigger_id,
                    payload,
                    fire,
                    overlap=overlap,
                    version=version,
                    idempotency=idempotency,
                    traceparent=traceparent,
                    depth=depth,
                    by=by,
                )
                if not started.duplicate:
                    told(started.execution_id)
        except StoreUnavailable:
            raise
        except AICFlowError as error:
            if isinstance(error, Conflict) and error.code == "limit-reached":
                return Fired(None, skipped=True)
            if idempotency is not None and (used := await self._used(idempotency)) is not None:
                raise used from None
            if isinstance(error, Conflict) and error.code == "queue-full":
                raise  # its caller has the payload; what was refused to be queued is not kept here instead
            await self.refuse(binding, loads(encoded), key, error)
            raise
        if started.duplicate and idempotency is not None and (used := await self._used(idempotency)) is not None:
            raise used
        return Fired(started.execution_id, started.duplicate)

    async def refuse(self, binding: Binding, payload: Any, key: str | None, error: AICFlowError) -> None:
        """Keep a delivery that starts nothing, with the reason."""
        self.failures[binding.type_id] += 1
        now, vault = self.clock.now(), self._executions.vault
        delivery_id, told = new_id("dl", now), vault.mask.text(error.message)
        kept = vault.keep(f"delivery {delivery_id}", payload)
        await self._store.triggers.keep_delivery(Delivery(delivery_id, binding.id, now, key, kept, error=told))

    def payload_of(self, delivery: Delivery) -> Any:
        """What had really arrived. Raises PermanentError."""
        return self._executions.vault.real(f"delivery {delivery.id}", delivery.payload)

    async def _used(self, idempotency: Idempotency) -> KeyUsed | None:
        return await self._store.idempotency.find(idempotency.scope, idempotency.key)

    async def wait_step(self, execution_id: str, node_ids: Sequence[str], timeout: float) -> Step | None:
        """As `TriggerRuntime.wait_step`."""
        return await self._executions.wait_step(execution_id, node_ids, timeout)

    async def wait(self, execution_id: str, timeout: float) -> Execution | None:
        """As `TriggerRuntime.wait`."""
        return await self._executions.wait(execution_id, timeout)

    async def running(self, binding: Binding) -> Sequence[str]:
        """As `TriggerRuntime.running`."""
        where = ExecutionFilter(binding_id=binding.id, statuses=ACTIVE_STATUSES)
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._store.executions.list(where, limit=200, cursor=cursor)
            found.extend(execution.id for execution in page.items)
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def cancel(self, execution_id: str) -> None:
        """As `TriggerRuntime.cancel`."""
        await self._executions.cancel(execution_id)

    async def load_state(self, binding: Binding) -> JsonObject:
        """As `TriggerRuntime.load_state`."""
        return await self._store.triggers.load_state(binding.id)

    async def save_state(self, binding: Binding, state: JsonObject) -> None:
        """As `TriggerRuntime.save_state`."""
        await self._store.triggers.save_state(binding.id, state)

    async def keep_file(
        self, chunks: AsyncIterable[bytes] | bytes, *, name: str | None = None, type: str | None = None
    ) -> File:
        """As `TriggerRuntime.keep_file`."""
        files = self._executions.files
        assert files is not None, "a host has a place for files"
        kept = await files.write(chunks, name=name, type=type, lifetime=_KEPT)
        return file_of(kept, name=name, type=type)

    async def read_file(self, file: File) -> tuple[File, AsyncIterator[bytes]]:
        """As `TriggerRuntime.read_file`."""
        files = self._executions.files
        assert files is not None, "a host has a place for files"
        record = await self._store.files.get(file.sha256)
        content = files.read(record)
        first = await anext(content, b"")  # what is lost is said before anything is sent

        async def whole() -> AsyncIterator[bytes]:
            yield first
            async for data in content:
                yield data

        return file_of(record, name=file.name, type=file.type), whole()

    async def secret(self, name: str) -> str:
        """As `TriggerRuntime.secret`."""
        names = await self._secrets.names()
        if names is not None and name not in names:
            raise NotFound("secret", name, hint=f"Set AICFLOW_SECRET_{name} in the server's environment.")
        return await self._secrets.fetch(name)
