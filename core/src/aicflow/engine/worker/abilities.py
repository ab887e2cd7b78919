"""What a worker can run of what executions require, where several hosts share the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import getpid
from socket import gethostname

from aicflow.engine.environment import Environment
from aicflow.kernel.document import NodeEntry, WorkflowDocument
from aicflow.kernel.errors import PermanentError, StoreUnavailable
from aicflow.kernel.execution import Execution
from aicflow.workers import DEFAULT_QUEUE, Requirement, WorkerRecord

_logger = logging.getLogger("aicflow.engine")
_MOST_NUMBERS = 10_000


class Abilities:
    """Tells the store what this worker has, and knows by number what it can run of what executions require.

    A requirement whose node types no live worker has had for `options.missing_grace` seconds counts as one that every
    worker can run: whoever claims such an execution ends it, with what is missing."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._queues = env.options.queues
        self._numbers: dict[tuple[str, int, str | None], int] = {}
        self._requirements: dict[int, Requirement] = {}
        self._since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.able: frozenset[int] | None = None if self._queues is None else frozenset()
        """The numbers of what this worker can run, None for everything."""
        self._running: Callable[[], int] = lambda: 0
        self._record: WorkerRecord | None = None

    async def start(self, worker_id: str, engines: Iterable[str], version: str, running: Callable[[], int]) -> None:
        """Tell of a worker from now on. `running` says how many executions it runs."""
        self._running = running
        options, registry = self._env.options, self._env.registry
        types = {f"engine:{name}" for name in engines}
        for node in registry.nodes():
            types |= {node.type_id, *(f"{node.type_id}@{number}" for number in registry.versions(node.type_id))}
        self._record = WorkerRecord(
            id=worker_id,
            name=options.worker_name or gethostname(),
            host=gethostname(),
            pid=getpid(),
            version=version,
            queues=self._queues,
            max_running=options.max_running,
            running=0,
            types=frozenset(types),
        )
        self._since = asyncio.get_running_loop().time()
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._beat(), name="aicflow-beat")

    async def stop(self) -> None:
        """Tell that it stops, so that nobody counts on it."""
        if self._task is None or self._record is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            await self._env.store.workers.leave(self._record.id)
        except StoreUnavailable as error:
            _logger.warning("This worker could not tell that it stops: %s", error)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._env.options.beat)
            try:
                await self.look()
            except StoreUnavailable as error:
                _logger.warning("Telling what this worker has waits for the store: %s", error)
            except Exception:
                _logger.exception("Telling what this worker has failed; trying again")

    async def look(self) -> None:
        """Tell and hear now."""
        if self._record is None:
            return
        found = await self._env.store.workers.beat(replace(self._record, running=self._running()))
        self._requirements = {one.id: one for one in found}
        able = frozenset(one.id for one in found if self._can_run(one))
        if self._queues is None and len(able) == len(found):
            changed, self.able = self.able is not None, None
        else:
            able |= {0} if self.takes_from(DEFAULT_QUEUE) else frozenset()
            changed, self.able = able != self.able, able
        if changed:
            self._env.wake()

    def takes_from(self, queue: str) -> bool:
        """Whether it takes executions from this queue."""
        return self._queues is None or queue in self._queues

    def _can_run(self, requirement: Requirement) -> bool:
        return self.takes_from(requirement.queue) and (
            not self._lacks(requirement) or self._waited_for(requirement) >= self._env.options.missing_grace
        )

    def _lacks(self, requirement: Requirement) -> frozenset[str]:
        return requirement.types - self._record.types if self._record is not None else frozenset()

    def _waited_for(self, requirement: Requirement) -> float:
        """For how long its types have been missing, as far as this worker could see: others may just be starting."""
        seen = asyncio.get_running_loop().time() - self._since if self._since is not None else 0.0
        return min(requirement.missing, seen)

    async def number(self, workflow_id: str, version: int, document: WorkflowDocument, engine: str | None) -> int:
        """The number of what executions of a version require; 0 where one host works alone."""
        if self._env.store.exclusive:
            return 0
        name = (workflow_id, version, engine)
        if (number := self._numbers.get(name)) is None:
            queue, types = required(document, engine)
            number = await self._env.store.workers.number(queue, types)
            if len(self._numbers) >= _MOST_NUMBERS:
                self._numbers.clear()
            self._numbers[name] = number
            self._env.hint("requirements")
        return number

    async def pass_on(self, execution: Execution) -> bool:
        """Give an execution that was claimed, and that this worker lacks a type for, to those who have it. False when
        there is nothing missing. Raises PermanentError when nobody has had the type for too long."""
        store = self._env.store
        if store.exclusive or self._record is None:
            return False
        stored = await store.workflows.version(execution.workflow_id, execution.version)
        document = WorkflowDocument.model_validate(stored.document)
        number = await self.number(execution.workflow_id, execution.version, document, execution.engine)
        await self.look()
        requirement = self._requirements.get(number)
        if requirement is None or not (lacking := self._lacks(requirement)):
            return False
        if self._can_run(requirement):
            raise PermanentError(
                f"No live worker has had {', '.join(sorted(lacking))} for {self._waited_for(requirement):.0f} s.",
                code="cannot-run",
                hint="Install the plugin where workers are, then rerun it.",
            )
        await store.executions.hand_back(self._record.id, execution.id, execution.epoch, number)
        return True


def required(document: WorkflowDocument, engine: str | None) -> tuple[str, frozenset[str]]:
    """The queue and the types that executions of a document require of a worker."""
    settings = document.settings
    types = {f"{node.type_id}@{node.version}" if node.version else node.type_id for node in _nodes(document.nodes)}
    if (engine := engine or settings.engine) is not None:
        types.add(f"engine:{engine}")
    return settings.queue or DEFAULT_QUEUE, frozenset(types)


def _nodes(entries: Sequence[NodeEntry]) -> Iterator[NodeEntry]:
    for entry in entries:
        yield entry
        if entry.body is not None:
            yield from _nodes(entry.body.nodes)
