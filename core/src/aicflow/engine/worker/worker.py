"""A worker: claims executions, runs them, renews its leases, and hands back what it cannot finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aicflow.engine.clock import SystemClock
from aicflow.engine.environment import Environment
from aicflow.engine.log import ExecutionLog, read_history
from aicflow.engine.run.children import Children
from aicflow.engine.run.execution_run import ExecutionRun
from aicflow.engine.run.failure import report_of, report_to_json
from aicflow.engine.run.isolated import Outside, Outsides
from aicflow.engine.worker.abilities import Abilities
from aicflow.engine.worker.plans import PlanCache
from aicflow.kernel.errors import NotFound, PermanentError, StaleClaim, StoreUnavailable
from aicflow.kernel.execution import Execution
from aicflow.kernel.ports.executions import Claimed, Projection, StoredAnswer
from aicflow.kernel.values import dumps
from aicflow.language.plan import item_plan

_logger = logging.getLogger("aicflow.engine")
_CLAIM_BATCH = 200
_PAUSE_AFTER_ERROR = 1.0
_PAUSE_AFTER_FAULT = 0.1


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is doing. `alive`: its claim and renewal loops run. `running`: how many executions it holds, and
    `has_room` for one more. `faults`: what the engine itself failed with, by execution, until that goes on or has ended
    (after `max_faults` in a row); `fault_count` counts them all. `abandoned`: nodes that did not stop when the worker
    did; only the end of the process stops them."""

    id: str
    alive: bool
    running: int
    has_room: bool
    faults: Mapping[str, str]
    fault_count: int
    max_faults: int
    abandoned: int


class Worker:
    """Runs executions in this process. At most `max_running` at once; the rest stay queued in the store."""

    def __init__(self, env: Environment, plans: PlanCache, children: Children) -> None:
        self._env = env
        self._plans = plans
        self._outsides = Outsides(env)
        self._children = children
        self.abilities = Abilities(env)
        self._running: dict[str, ExecutionRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._reserved = 0
        self._clocks: tuple[float, float] | None = None
        self._renewed = 0.0
        self._claiming = False
        self._for_claimed: dict[str, list[Callable[[ExecutionRun], None]]] = {}
        self._clock_grace: tuple[float, float] | None = None
        self._system_clock = type(env.clock) is SystemClock
        self._abandoned = 0
        self._faults: dict[str, str] = {}
        self._fault_count = 0

    @property
    def id(self) -> str:
        return self._env.worker

    @property
    def status(self) -> WorkerStatus:
        """How it is doing."""
        return WorkerStatus(
            id=self.id,
            alive=bool(self._loops) and not any(loop.done() for loop in self._loops),
            running=len(self._running),
            has_room=self.has_room(),
            faults=self._faults,
            fault_count=self._fault_count,
            max_faults=self._env.options.max_faults,
            abandoned=self._abandoned,
        )

    def has_room(self) -> bool:
        """Whether one more execution may be born claimed by this worker."""
        return not self._closing and len(self._running) + self._reserved < self._env.options.max_running

    def at(self) -> float | None:
        """What the store is to take for now: None, which is its own clock, unless this worker was given another one."""
        return None if self._system_clock else self._env.clock.now()

    def run_of(self, execution_id: str) -> ExecutionRun | None:
        """The execution's run when this worker holds it."""
        return self._running.get(execution_id)

    async def start(self) -> None:
        """Begin to claim. With a store that only one host can open, what a dead host held is taken over at once."""
        if self._env.store.exclusive:
            orphans = await self._env.store.executions.reclaim(self.id)
            if orphans:
                _logger.info("Taking over %d executions that were running when the last host went away", orphans)
        loop = asyncio.get_running_loop()
        self._loops = [
            loop.create_task(self._claim_loop(), name="aicflow-claim"),
            loop.create_task(self._renew_loop(), name="aicflow-renew"),
        ]

    def wake(self) -> None:
        """Something may be claimable now."""
        self._wake.set()

    async def launch(self, claimed: Claimed, begun: Sequence[str] | None = None) -> None:
        """Run an execution this worker has claimed. `begun` are the nodes with whose steps a new one was started."""
        execution = claimed.execution
        if self._closing:
            await self._env.store.executions.hand_back(self.id, execution.id, execution.epoch)
            return
        held = self._running.get(execution.id)
        if held is not None and held.adopt(execution.epoch):
            return
        try:
            if claimed.damage is not None:
                raise claimed.damage
            plan = await self._plans.get(claimed.execution.workflow_id, claimed.execution.version)
            outside: Outside | None = None
            if execution.trigger.kind == "item":
                outside = await self._outsides.of(execution, plan)
                plan = item_plan(plan, execution.trigger.parent_node_id or "")
            run = ExecutionRun(self._env, claimed, plan, self._children, begun, outside)
            if run.stalled >= self._env.options.max_claims:
                await self._no_progress(run, self._faults.get(execution.id))
                return
        except (StoreUnavailable, asyncio.CancelledError):
            raise
        except Exception as error:
            await self._without_plan(claimed.execution, error)
            return
        self._running[run.execution_id] = run
        run.on_abandoned = partial(self._on_abandoned, run)
        self._spawn(self._advance(run))
        for do in self._for_claimed.pop(run.execution_id, ()):
            do(run)

    async def _without_plan(self, execution: Execution, error: Exception) -> None:
        """It cannot begin here. Another worker may have the node type that is missing."""
        if isinstance(error, NotFound) and not execution.cancel_requested:
            try:
                if await self.abilities.pass_on(execution):
                    return
            except (NotFound, PermanentError) as reason:  # its workflow is gone, or nobody has the type
                error = reason
        await self._cannot_run(execution, error)

    async def _launch_all(self, claimed: Sequence[Claimed]) -> None:
        for one in claimed:
            try:
                await self.launch(one)
            except StoreUnavailable:
                raise
            except Exception:  # the others are not to wait for it
                _logger.exception("Execution %s can neither run nor be ended", one.execution.id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _advance(self, run: ExecutionRun) -> None:
        try:
            await run.advance()
            if run.fault is None:
                self._faults.pop(run.execution_id, None)
            else:
                await self._after_fault(run, run.fault)
        finally:
            self._release(run)
            run.dispose()

    def _on_abandoned(self, run: ExecutionRun) -> None:
        self._release(run)
        if run.fault is not None:
            self._spawn(self._after_fault(run, run.fault))

    async def _after_fault(self, run: ExecutionRun, fault: Exception) -> None:
        """The engine failed outside a node: try again after a pause, a bounded number of times. A cancel request ends
        the pause, and the execution with it."""
        execution, options = run.execution, self._env.options
        execution.last_seq = run.log.committed
        message = self._env.secrets.mask.text(f"{type(fault).__name__}: {fault}")
        self._faults[execution.id] = message
        self._fault_count += 1
        # a cancel that comes now gets a turn of its own, one that this turn failed to carry out ends it here
        ends = run.stalled + 1 >= options.max_faults or run.stop_reason == "cancelled"
        if not ends:
            await run.pause(min(_PAUSE_AFTER_FAULT * 4**run.stalled, options.lease / 3))
        pause = _PAUSE_AFTER_ERROR
        while not self._closing or not ends:
            try:
                if ends:
                    await self._no_progress(run, message)
                else:
                    await self._env.store.executions.hand_back(self.id, execution.id, execution.epoch)
                    self.wake()
                return
            except Exception:
                _logger.exception("Execution %s can neither go on nor be ended; trying again", run.execution_id)
            await asyncio.sleep(pause)
            pause = min(2 * pause, options.lease / 3)

    async def _no_progress(self, run: ExecutionRun, fault: str | None) -> None:
        error = PermanentError(
            f"It was started {run.stalled + 1} times in a row without progress"
            + (f"; the engine failed with {fault}" if fault else ": its workers died"),
            code="no-progress",
            hint="See the server's log. Rerun it once the cause is fixed.",
        )
        await self._cannot_run(run.execution, error, run)

    def _release(self, run: ExecutionRun) -> None:
        if self._running.get(run.execution_id) is run:
            del self._running[run.execution_id]
            if len(self._running) + 1 >= self._env.options.max_running:
                self.wake()

    async def _cannot_run(self, execution: Execution, error: Exception, run: ExecutionRun | None = None) -> None:
        """End an execution without its steps: it cannot even begin, since its workflow or a node type is gone, or it
        cannot go on."""
        _logger.warning("Execution %s cannot run: %s", execution.id, error)
        log = ExecutionLog(self._env, execution, self._env.secrets.mask)
        cancelled = execution.cancel_requested
        now = self._env.clock.now()
        report = report_to_json(report_of(error, "", 1), self._env.secrets.mask)
        report.pop("node_id")
        if run is None:
            report["code"] = "cannot-run"
        else:
            history = await read_history(self._env.store.executions, execution.id)
            for step in history.steps.values():
                if step.finished_at is None:
                    log.add("step.cancelled", step.node_id, step.attempt)
            await self._children.cancel(execution.id)
            on_failure = run.plan.document.settings.on_failure
            if on_failure is not None and not cancelled and execution.trigger.kind != "failure":
                await self._children.start_on_failure(execution, on_failure, report)
        log.add("execution.cancelled" if cancelled else "execution.failed", data={} if cancelled else {"error": report})
        announce = execution.trigger.kind != "item" and self._env.announces(execution.workflow_id)
        try:
            await log.flush(
                Projection(
                    "cancelled" if cancelled else "failed",
                    started_at=execution.started_at or now,
                    finished_at=now,
                    error=None if cancelled else dumps(report),
                    announce=announce,
                )
            )
        except StaleClaim:
            return
        finally:
            log.close()
        if announce:
            self._env.announced()
        self._faults.pop(execution.id, None)
        execution.status = "cancelled" if cancelled else "failed"
        self._children.ended(execution)

    async def _claim_loop(self) -> None:
        options = self._env.options
        woken = True
        while not self._closing:
            self._wake.clear()
            timeout = options.lease / 2 if self._env.store.exclusive else min(options.lease / 2, options.poll)
            self._claiming = True
            try:
                await self._keep_leases()
                room = min(options.max_running - len(self._running) - self._reserved, _CLAIM_BATCH)
                if room <= 0:
                    await self._end_cancelled()
                else:
                    due = None if woken else await self._next_due()
                    if woken or due == 0.0:
                        self._reserved += room
                        try:
                            claimed = await self._claim(room)
                            await self._launch_all(claimed)
                        finally:
                            self._reserved -= room
                        if len(claimed) == room:
                            await asyncio.sleep(0)
                            continue
                        due = await self._next_due()
                    if due is not None:
                        timeout = min(timeout, due + 0.001)
            except StoreUnavailable as error:
                _logger.warning("Claiming waits for the store: %s", error)
                timeout = _PAUSE_AFTER_ERROR
            except Exception:
                _logger.exception("Claiming executions failed; trying again")
                timeout = _PAUSE_AFTER_ERROR
            finally:
                self._claiming = False
                self._for_claimed.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
                woken = True
            except TimeoutError:
                woken = False  # it asks first whether anything is due: that costs the store less than a claim

    async def _end_cancelled(self) -> None:
        """A full worker still ends what was cancelled while queued or waiting: that takes a moment, no slot."""
        await self._launch_all(await self._claim(_CLAIM_BATCH, cancelled_only=True))

    async def _next_due(self) -> float | None:
        return await self._env.store.executions.next_due(at=self.at(), able=self.abilities.able)

    async def _claim(self, limit: int, *, cancelled_only: bool = False) -> Sequence[Claimed]:
        lease, at = self._env.options.lease, self.at()
        if self._clock_grace is not None and asyncio.get_running_loop().time() >= self._clock_grace[0]:
            self._clock_grace = None
        if self._clock_grace is not None:
            # the wall clock was just moved forward: leases of others look expired that are not
            at, lease = self._env.clock.now() - self._clock_grace[1], lease + self._clock_grace[1]
        return await self._env.store.executions.claim(
            self.id, limit, lease=lease, at=at, cancelled_only=cancelled_only, able=self.abilities.able
        )

    async def _renew_loop(self) -> None:
        while True:
            # what another host cancelled is learnt here, if its signal was lost
            options = self._env.options
            await asyncio.sleep(
                options.lease / 3 if self._env.store.exclusive else min(options.lease / 3, options.poll)
            )
            try:
                await self._renew()
            except StoreUnavailable as error:
                _logger.warning("Renewing leases waits for the store: %s", error)
            except Exception:
                _logger.exception("Renewing leases failed; trying again")

    async def _keep_leases(self) -> None:
        """Before this worker looks for expired leases: renew its own if the wall clock was moved, or if this process
        stood still for so long that they may have run out."""
        wall, steady = self._env.clock.now(), asyncio.get_running_loop().time()
        moved = (wall - self._clocks[0]) - (steady - self._clocks[1]) if self._clocks else 0.0
        self._clocks = (wall, steady)
        lease = self._env.options.lease
        jumped = abs(moved) > lease / 8
        if jumped:
            _logger.warning("The wall clock was moved by about %.0f s", moved)
            # others need a moment to renew theirs before they look expired
            self._clock_grace = (steady + lease / 2, max(moved, 0.0)) if not self._env.store.exclusive else None
            for run in self._running.values():
                run.clock_moved()
        if jumped or steady - self._renewed > lease / 2:
            await self._renew()

    async def _renew(self) -> None:
        self._renewed = asyncio.get_running_loop().time()
        held = list(self._running)
        if held:
            renew = self._env.store.executions.renew
            for cancelled in await renew(self.id, held, lease=self._env.options.lease, at=self.at()):
                self.cancel(cancelled)

    def cancel(self, execution_id: str) -> None:
        """Stop an execution if this worker holds it, or is about to."""
        self._when_held(execution_id, lambda run: run.stop("cancelled"))

    def deliver(self, execution_id: str, answer: StoredAnswer) -> None:
        """Hand over an answer if this worker holds the execution, or is about to."""
        self._when_held(execution_id, lambda run: run.deliver(answer))

    def _when_held(self, execution_id: str, do: Callable[[ExecutionRun], None]) -> None:
        run = self._running.get(execution_id)
        if run is not None:
            do(run)
        elif self._claiming:
            # it may be among those just claimed, whose rows were read before this
            self._for_claimed.setdefault(execution_id, []).append(do)

    async def stop(self) -> None:
        """Claim nothing more, let the steps under way finish within the grace period, hand the rest back."""
        self._closing = True
        self._wake.set()
        for loop in self._loops:
            if loop.get_name() == "aicflow-claim":
                await asyncio.wait({loop}, timeout=self._env.options.grace)
        runs = list(self._running.values())
        for run in runs:
            run.drain()
        await self._all_finished(runs, self._env.options.grace)
        for run in runs:
            run.stop("shutdown")
        await self._all_finished(runs, self._env.options.cancel_grace + 5.0)
        left = [*self._loops, *self._tasks]
        for task in left:
            task.cancel()
        if left:
            _, unresponsive = await asyncio.wait(left, timeout=self._env.options.cancel_grace)
            self._abandoned = len(unresponsive)
        self._loops = []

    @staticmethod
    async def _all_finished(runs: Sequence[ExecutionRun], timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                for run in runs:
                    await run.finished()
        except TimeoutError:
            pass
