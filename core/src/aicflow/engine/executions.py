"""The engine's front door: start, follow, stop, answer and repeat executions."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from os import getpid
from typing import Any, Literal

from aicflow.engine.bulk import BulkItem, BulkOutcome, in_bulk
from aicflow.engine.clock import SystemClock
from aicflow.engine.environment import Environment
from aicflow.engine.files import Files
from aicflow.engine.hub import Admits, Hub
from aicflow.engine.ids import new_id
from aicflow.engine.inside import ITEM_STATUSES, Item, read_items, read_page, read_steps
from aicflow.engine.log import SEALED, read_events, read_history
from aicflow.engine.nodes.pool import NodePool
from aicflow.engine.options import EngineOptions
from aicflow.engine.run.children import Children
from aicflow.engine.run.recovery import unseal
from aicflow.engine.sealing import Seal, Vault
from aicflow.engine.secrets import Secrets
from aicflow.engine.starting import StartedBy, Starter
from aicflow.engine.why import explain
from aicflow.engine.worker.observing import Observers
from aicflow.engine.worker.plans import PlanCache
from aicflow.engine.worker.worker import Worker, WorkerStatus
from aicflow.events import decode_event, event_type
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import Conflict, InputInvalid, NotFound
from aicflow.kernel.execution import SETTLED_EVENTS, TERMINAL_STATUSES, Execution, Step
from aicflow.kernel.ports.engine import Engine
from aicflow.kernel.ports.executions import ExecutionFilter, Idempotency, StoredAnswer
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.store import Store
from aicflow.kernel.records import Observer
from aicflow.kernel.registry import Registry
from aicflow.kernel.values import dumps, loads
from aicflow.language.schema import SchemaValidator

_logger = logging.getLogger("aicflow.engine")
_SHOWN = 10
_Action = Literal["answered", "retry", "skip", "fail"]


class Executions(Starter):
    """Everything a host, a trigger or a command does with executions. `open` it on an open store, `close` it before
    the store."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        engines: Mapping[str, Callable[[], Engine]],
        options: EngineOptions | None = None,
        secrets: Secrets | None = None,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        server_secret: bytes | None = None,
        files: Files | None = None,
        version: str = "",
    ) -> None:
        self.store = store
        self._version = version
        self.files = files
        self.options = options or EngineOptions()
        self.clock: Clock = clock or SystemClock()
        self.secrets = secrets or Secrets()
        self._engine_types = dict(engines)
        self._engines: dict[str, Engine] = {}
        self._observers = Observers(observers)
        self.hub = Hub(
            store.executions,
            self._observers.committed if observers else None,
            signals=None if store.exclusive else store.signals,
            poll=None if store.exclusive else self.options.poll,
        )
        self._listener: asyncio.Task[None] | None = None
        self.nodes = NodePool(self.options.threads, self._observers.around if self._observers.wraps_steps else None)
        seal = Seal(server_secret)
        self.vault = Vault(seal, self.secrets.mask)
        env = Environment(
            store=store,
            registry=registry,
            hub=self.hub,
            nodes=self.nodes,
            secrets=self.secrets,
            clock=self.clock,
            options=self.options,
            engine=self.engine,
            worker=new_id(f"{socket.gethostname()}-{getpid()}", self.clock.now()),
            wake=self.wake,
            seal=seal,
            vault=self.vault,
            files=files,
        )
        plans = PlanCache(store.workflows, registry)
        children = Children(env, start=self.start, cancel=self.cancel, deliver=self.deliver)
        super().__init__(env, plans, Worker(env, plans, children))

    def announce(self, wanted: Callable[[str], bool], announced: Callable[[], None]) -> None:
        """From now on, mark the ends of executions of the workflows that are wanted: `ExecutionStore.announced` lists
        them. `announced` is called after each."""
        self._env.announces, self._env.announced = wanted, announced

    async def open(self) -> None:
        """Begin to run what was accepted. Raises NotFound when the default engine is unknown."""
        self.engine(self.options.engine)
        await self.secrets.learn()
        await self._observers.start()
        if self.options.max_running:
            await self._worker.abilities.start(
                self._worker.id, self._engine_types, self._version, lambda: self._worker.status.running
            )
        await self._worker.start()
        if not self.store.exclusive:
            self._listener = asyncio.get_running_loop().create_task(self._listen(), name="aicflow-signals")

    async def close(self) -> None:
        """Stop cleanly: steps get `options.grace` seconds, what is left is handed back for the next start."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})
        await self._worker.stop()
        await self._worker.abilities.stop()
        await self.nodes.close()
        if self.files is not None:
            await self.files.close()
        await self._observers.stop()

    def engine(self, name: str) -> Engine:
        """The engine of this name; made once. Raises NotFound, also when what it needs is not installed."""
        engine = self._engines.get(name)
        if engine is None:
            make = self._engine_types.get(name)
            if make is None:
                raise NotFound("engine", name, hint=f"Installed engines: {', '.join(sorted(self._engine_types))}.")
            try:
                engine = self._engines[name] = make()
            except ImportError as error:
                hint = f"It needs the module {error.name!r}, which is not installed." if error.name else str(error)
                raise NotFound("engine", name, hint=hint) from error
        return engine

    def wake(self) -> None:
        """Something may be claimable now."""
        self._worker.wake()
        self._env.hint("work")

    async def _listen(self) -> None:
        """Hear what other hosts say. Losing some of it does no harm: the worker and the hub look by themselves."""
        while True:
            try:
                async for signal in self.store.signals.signals():
                    if signal.kind == "events":
                        self.hub.look(signal.id)
                        continue
                    if signal.kind in ("watch", "delta"):
                        self.hub.hear(signal)
                        continue
                    if signal.kind == "cancel":
                        self._worker.cancel(signal.id)
                    if signal.kind == "requirements":
                        await self._worker.abilities.look()
                    if signal.kind in ("work", "cancel", "answer"):
                        self._worker.wake()
            except Exception:
                _logger.exception("Listening to other hosts failed; trying again")
            await asyncio.sleep(self.options.poll)

    def deliver(self, execution_id: str, answer: StoredAnswer) -> None:
        """Hand over an answer that the store has kept, if this process holds the execution."""
        self._worker.deliver(execution_id, answer)

    @property
    def worker(self) -> WorkerStatus:
        """How the worker of this process is doing."""
        return self._worker.status

    async def get(self, execution_id: str) -> Execution:
        """The execution as stored. Raises NotFound."""
        return await self.store.executions.get(execution_id)

    async def events(self, execution_id: str) -> Sequence[bytes]:
        """Every event of an execution, encoded."""
        return await read_events(self.store.executions, execution_id)

    async def steps(
        self, execution_id: str, *, outputs: bool = True, parent: str | None = None, around: str | None = None
    ) -> Sequence[Step]:
        """The execution's steps, in the order they began, as its events tell them; large outputs, which are kept
        outside the events, only with `outputs`. With `parent` those directly inside of that step (`each`, `g`) or of
        one item (`each[17]`), with "" those that are inside of none; with `around` only this step, what it is
        inside of, and what is at work inside of it. Raises NotFound."""
        await self.store.executions.get(execution_id)
        return await read_steps(self.store.executions, execution_id, outputs=outputs, parent=parent, around=around)

    async def steps_page(
        self,
        execution_id: str,
        parent: str = "",
        *,
        after: str | None = None,
        limit: int = 100,
        statuses: frozenset[str] | None = None,
    ) -> Sequence[Step]:
        """Up to `limit` steps directly inside of `parent` that come after the step `after`, as `steps` but those of
        items by index, and without large outputs. Reads no more of a long log than it needs. Raises NotFound."""
        execution = await self.get(execution_id)
        read = read_page(self.store.executions, execution, parent, after=after, limit=limit, statuses=statuses)
        return await read

    async def items(
        self,
        execution_id: str,
        step_id: str,
        *,
        after: int = -1,
        limit: int = 100,
        statuses: frozenset[str] = ITEM_STATUSES,
    ) -> Sequence[Item]:
        """Items of a map, or passes of a repeat, with index > `after`, in order: those that have ended, and while the
        execution goes on those at work. Raises NotFound."""
        execution = await self.get(execution_id)
        read = read_items(self.store.executions, execution, step_id, after=after, limit=limit, statuses=statuses)
        return await read

    async def cancel(self, execution_id: str) -> Execution:
        """Ask for the end of an execution; its work stops within two seconds whatever its nodes do, then
        nodes that always run do. Raises NotFound."""
        execution = await self.store.executions.request_cancel(execution_id)
        if execution.status not in TERMINAL_STATUSES:
            self._worker.cancel(execution_id)
            self._worker.wake()  # it may be parking at this moment
            self._env.hint("cancel", execution_id)
        return execution

    def signing_key(self, purpose: str) -> bytes:
        """A key made of the server's secret for a purpose."""
        return self._env.seal.signing_key(purpose)

    async def resume(
        self,
        execution_id: str,
        node_id: str | None = None,
        *,
        action: _Action = "answered",
        value: Any = None,
    ) -> Execution:
        """Answer a waiting step (the only one, when no node is named). Raises NotFound, Conflict (`not-waiting`,
        `ambiguous`, `answered`), InputInvalid when the value does not fit what the step asked for."""
        while True:
            try:
                return await self._resume(execution_id, node_id, action, value)
            except Conflict as error:
                if error.code != "step-moved":
                    raise  # else look again: it may have ended, or ask once more

    async def _resume(self, execution_id: str, node_id: str | None, action: _Action, value: Any) -> Execution:
        execution = await self.get(execution_id)
        waiting = await self._waiting(execution_id, node_id)
        if node_id not in waiting:
            waiting = await self._waiting(execution_id)
        if execution.status in TERMINAL_STATUSES or not waiting:
            raise Conflict(
                f"Execution {execution_id} has no waiting step; it is {execution.status}.", code="not-waiting"
            )
        if node_id is None:
            if len(waiting) > 1:
                raise Conflict(
                    f"Several steps wait: {_named(waiting)}.", code="ambiguous", hint="Say which one with node_id."
                )
            node_id = next(iter(waiting))
        step = waiting.get(node_id)
        if step is None:
            raise Conflict(f"Step {node_id!r} does not wait. Waiting: {_named(waiting)}.", code="not-waiting")
        wait = step.wait or {}
        if wait.get("masked"):
            name = f"{SEALED}:{node_id}"
            kept = await self.store.executions.outputs(execution_id, [name])
            if name in kept:
                wait = loads(unseal(self._env.seal, execution_id, name, kept[name])[2])
        if action == "answered":
            schema = wait.get("answer_schema")
            if wait.get("reason") not in ("answer", None):
                raise Conflict(
                    f"Step {node_id!r} does not wait for an answer.",
                    code="not-waiting",
                    hint="It can be answered with retry, skip or fail.",
                )
            if schema is not None:
                violations = SchemaValidator(schema).validate(value, limit=20)
                if violations:
                    raise InputInvalid([(one.pointer, one.message) for one in violations], what="answer")
        # of a question that was asked again, the first number: the store keeps one answer for it
        stored = self.vault.keep_encoded(f"answer {execution_id} {node_id}", dumps(value))
        answer = StoredAnswer(node_id, action, stored, wait.get("asked", wait.get("call", 0)))
        await self.store.executions.answer(execution_id, answer, seen=execution.last_seq)
        self.deliver(execution_id, answer)
        self._worker.wake()  # it may be parking at this moment
        self._env.hint("answer", execution_id)
        return await self.get(execution_id)

    async def _waiting(self, execution_id: str, around: str | None = None) -> dict[str, Step]:
        if around is None:
            steps: Sequence[Step] = [*(await read_history(self.store.executions, execution_id)).steps.values()]
        else:
            steps = await self.steps(execution_id, outputs=False, around=around)
        return {step.node_id: step for step in steps if step.status == "waiting"}

    async def send_event(self, event: SentEvent, *, idempotency: Idempotency | None = None) -> SentEvent:
        """Keep an event and wake the steps that wait for it; durable when it returns. With an id that is kept already,
        the event that has it. Raises KeyUsed."""
        event = replace(event, data=self.vault.keep(f"event {event.id}", event.data))
        kept, answers = await self.store.sent.send(event, idempotency=idempotency)
        for execution_id, answer in answers:
            self.deliver(execution_id, answer)
            self._env.hint("answer", execution_id)
        if answers:
            self._worker.wake()
        return kept

    async def wait(self, execution_id: str, timeout: float | None = None) -> Execution | None:
        """The execution once it has ended; None when it has not within `timeout` seconds. Raises NotFound."""
        try:
            async with asyncio.timeout(timeout):
                run = self._worker.run_of(execution_id)
                if run is not None:
                    await run.finished()
                    if run.execution.status in TERMINAL_STATUSES:
                        return run.execution
                execution = await self.get(execution_id)
                if execution.status not in TERMINAL_STATUSES:
                    async for _ in self.hub.watch(execution_id, execution.last_seq):
                        pass
                    execution = await self.get(execution_id)
                return execution
        except TimeoutError:
            return None

    async def wait_step(self, execution_id: str, node_ids: Sequence[str], timeout: float) -> Step | None:
        """The step of the first of these nodes to succeed, or of the last to settle when none does; None when the
        execution ended before, or not within `timeout` seconds. Raises NotFound."""
        left = set(node_ids)
        marks = [f'"node_id":"{node_id}"'.encode() for node_id in left]
        try:
            async with asyncio.timeout(timeout):
                async for batch in self.watch(execution_id):
                    for event in batch:
                        # the mark alone may stand in the output of another node
                        if event_type(event) not in SETTLED_EVENTS or not any(mark in event for mark in marks):
                            continue
                        node_id = decode_event(event).node_id or ""
                        left.discard(node_id)
                        if node_id in node_ids and (event_type(event) == "step.succeeded" or not left):
                            steps = {step.node_id: step for step in await self.steps(execution_id, around=node_id)}
                            return steps.get(node_id)
        except TimeoutError:
            pass
        return None

    async def watch(self, execution_id: str, *, after: int = 0) -> AsyncIterator[Sequence[bytes]]:
        """Batches of encoded events after `after`: stored ones, then live ones with deltas in between, until the
        terminal event. Raises NotFound."""
        execution = await self.get(execution_id)
        if execution.status in TERMINAL_STATUSES and after >= execution.last_seq:
            return
        async for batch in self.hub.watch(execution_id, after):
            yield batch

    def watch_all(self, where: ExecutionFilter, admits: Admits | None = None) -> AsyncIterator[Sequence[bytes]]:
        """Batches of everything that is committed from now on; a reader that falls behind gets an event that
        says what it lost. With `admits`, of those workflows that it returns true for."""
        return self.hub.watch_all(where, admits)

    async def bulk_cancel(
        self, where: ExecutionFilter, *, limit: int, idempotency: Idempotency | None = None
    ) -> BulkOutcome:
        """Cancel up to `limit` executions that have not ended. Raises KeyUsed."""

        async def act(execution_id: str, key: Idempotency | None) -> BulkItem:
            await self.cancel(execution_id)
            return BulkItem(execution_id)

        return await in_bulk(self.store, self.clock, where, act, ended=False, limit=limit, idempotency=idempotency)

    async def bulk_rerun(
        self,
        where: ExecutionFilter,
        *,
        limit: int,
        idempotency: Idempotency | None = None,
        by: StartedBy | None = None,
    ) -> BulkOutcome:
        """Rerun up to `limit` executions that have ended. Raises KeyUsed."""

        async def act(execution_id: str, key: Idempotency | None) -> BulkItem:
            return BulkItem(execution_id, (await self.rerun(execution_id, idempotency=key, by=by)).execution_id)

        return await in_bulk(self.store, self.clock, where, act, ended=True, limit=limit, idempotency=idempotency)

    async def why(self, execution_id: str) -> str:
        """In a sentence, what an execution waits for. Raises NotFound."""
        return await explain(await self.get(execution_id), self.store, self._worker.status)


def _named(step_ids: Collection[str]) -> str:
    """The ids, the first few of many."""
    more = f" and {len(step_ids) - _SHOWN:,} more" if len(step_ids) > _SHOWN else ""
    return ", ".join(islice(step_ids, _SHOWN)) + more
