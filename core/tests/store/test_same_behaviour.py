"""All stores, driven by the same random calls, always say the same: SQLite, the memory, and PostgreSQL where it is
installed."""

import asyncio
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import AICFlowError, Conflict, KeyUsed
from aicflow.kernel.ports.executions import (
    Appended,
    EventBatch,
    ExecutionFilter,
    Fire,
    Idempotency,
    ItemResult,
    Projection,
    SlotLimit,
    StoredAnswer,
    Subscription,
)
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.store import Store
from aicflow.store import MemoryStore, SQLiteStore
from aicflow.testing.postgres import MISSING, binaries, running_postgres
from aicflow.testing.store_samples import LEASE, NOW, batch, new
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

WORKERS = st.sampled_from(["w1", "w2"])
KEYS = st.sampled_from(["a", "b", "c"])
LIMITS = st.lists(
    st.builds(SlotLimit, KEYS, st.integers(1, 2), st.sampled_from(["queue", "queue", "skip", "cancel_oldest"])),
    max_size=2,
    unique_by=lambda limit: limit.key,
).map(tuple)


class Alike(RuleBasedStateMachine):
    """Two stores, one clock. Every call's result, or the error in its place, is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.one: Store = SQLiteStore(self.folder / "a.db", synchronous="NORMAL")
        self.other: Store = MemoryStore()
        self.is_open = False
        self.now = NOW
        self.made = 0
        self.ids: list[str] = []
        self.epochs: dict[str, int] = {}
        self.seqs: dict[str, int] = {}

    @initialize()
    def open(self) -> None:
        self.both(lambda store: store.open())
        self.is_open = True

    def teardown(self) -> None:
        try:
            if self.is_open:
                self.compare_all()
                assert self.loop.run_until_complete(self.one.maintenance.integrity()) == []
        finally:
            self.loop.run_until_complete(self.one.close())
            self.loop.run_until_complete(self.other.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    def compare_all(self) -> None:
        """Whoever claims them finds all executions the same, with events, outputs, answers and items."""
        for id in self.ids:
            self.both(lambda store, id=id: store.executions.request_cancel(id))  # type: ignore[misc]
        self.now += 10 * LEASE
        for cancelled_only in (True, False):
            self.both(
                lambda store, only=cancelled_only: everything(  # type: ignore[misc]
                    store.executions.claim("last", 1_000, lease=LEASE, at=self.now, cancelled_only=only)
                )
            )

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        async def ask(store: Store) -> Any:
            try:
                return await call(store)
            except AICFlowError as error:
                return type(error).__name__, str(error) if "exists" not in str(error) else ""

        async def ask_both() -> Any:
            return await asyncio.gather(ask(self.one), ask(self.other))

        one, other = self.loop.run_until_complete(ask_both())
        assert one == other, f"{one!r} is not {other!r}"
        return one

    def known(self, index: int) -> str:
        return self.ids[index % len(self.ids)]

    @rule(worker=WORKERS, limit=st.integers(1, 4))
    def claim(self, worker: str, limit: int) -> None:
        taken = self.both(
            lambda store: everything(store.executions.claim(worker, limit, lease=LEASE, at=self.now), in_turn=True)
        )
        for claimed in taken:
            self.epochs[claimed.execution.id] = claimed.execution.epoch

    @rule(seconds=st.sampled_from([1, 10, 31]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.one.close())
        self.loop.run_until_complete(self.one.open())

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99), node=KEYS, call=st.integers(0, 2), seen=st.none() | st.integers(0, 9))
    def answer(self, index: int, node: str, call: int, seen: int | None) -> None:
        answer = StoredAnswer(node, "answered", b"1", call)
        self.both(lambda store: store.executions.answer(self.known(index), answer, seen))


class SameBehaviour(Alike):
    """The life of executions, from the queue to their removal."""

    @rule(
        workflow=st.sampled_from(["wf_a", "wf_b"]),
        worker=st.none() | WORKERS,
        priority=st.integers(0, 2),
        limits=LIMITS,
        delay=st.sampled_from([0, 0, 10]),
        fire=st.none() | KEYS,
        key=st.none() | KEYS,
        size=st.sampled_from([1, 2000]),
    )
    def create(
        self,
        workflow: str,
        worker: str | None,
        priority: int,
        limits: tuple[SlotLimit, ...],
        delay: int,
        fire: str | None,
        key: str | None,
        size: int,
    ) -> None:
        self.made += 1
        id = f"ex_{self.made:03}"
        made = new(
            id,
            workflow=workflow,
            at=self.now,
            input="x" * size,
            priority=priority,
            limits=limits,
            available_at=self.now + delay,
            fire=Fire(f"{workflow}:t", fire, f"d_{id}", received_at=self.now) if fire else None,
            idempotency=Idempotency("api", key, id) if key else None,
        )
        created = self.both(lambda store: store.executions.create(made, worker=worker, lease=LEASE, at=self.now))
        if not created.duplicate and not created.skipped:
            self.ids.append(id)
            self.epochs[id], self.seqs[id] = created.epoch, 1

    @precondition(lambda self: self.ids)
    @rule(
        index=st.integers(0, 99),
        events=st.integers(0, 3),
        status=st.sampled_from(["running", "waiting", "succeeded", "succeeded", "failed", "cancelled"]),
        wake=st.none() | st.integers(0, 50),
        outputs=st.dictionaries(KEYS, st.sampled_from([b"1", b"[2]"]), max_size=2),
        consumed=st.lists(st.tuples(KEYS, st.integers(0, 2)), max_size=2),
        stale=st.sampled_from([0, 0, 0, 1]),
    )
    def append(
        self,
        index: int,
        events: int,
        status: Any,
        wake: int | None,
        outputs: dict[str, bytes],
        consumed: list[tuple[str, int]],
        stale: int,
    ) -> None:
        id = self.known(index)
        ended = status in ("succeeded", "failed", "cancelled")
        types = ["step.log"] * events + ([f"execution.{status}"] if ended else [])
        first = self.seqs[id] + 1
        appended = self.both(
            lambda store: store.executions.append(
                id,
                self.epochs[id] - stale,
                batch(first, *types) if types else EventBatch(first, []),
                Projection(
                    status,
                    started_at=self.now,
                    finished_at=self.now if ended else None,
                    output=b"[1]" if ended else None,
                    wake_at=None if wake is None or status != "waiting" else self.now + wake,
                ),
                outputs,
                consumed,
            )
        )
        if not isinstance(appended, tuple):
            self.seqs[id] += len(types)

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99), worker=WORKERS)
    def hand_back(self, index: int, worker: str) -> None:
        id = self.known(index)
        self.both(lambda store: store.executions.hand_back(worker, id, self.epochs[id]))

    @rule(worker=WORKERS)
    def reclaim(self, worker: str) -> None:
        self.both(lambda store: store.executions.reclaim(worker))

    @rule(worker=WORKERS)
    def renew(self, worker: str) -> None:
        self.both(lambda store: store.executions.renew(worker, self.ids, lease=LEASE, at=self.now))

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99))
    def cancel(self, index: int) -> None:
        self.both(lambda store: store.executions.request_cancel(self.known(index)))

    @rule(
        age=st.none() | st.integers(0, 60),
        count=st.none() | st.integers(0, 3),
        status=st.sampled_from(["succeeded", "failed", "waiting"]),
    )
    def retire(self, age: int | None, count: int | None, status: str) -> None:
        rules = [RetentionRule(status, age, count)]
        self.both(lambda store: store.maintenance.removable(rules, now=self.now))
        self.both(lambda store: store.maintenance.remove(rules, now=self.now))

    @rule(
        workflow=st.none() | st.sampled_from(["wf_a", "wf_b"]),
        statuses=st.none() | st.frozensets(st.sampled_from(["queued", "running", "waiting", "succeeded", "failed"])),
        limit=st.integers(1, 5),
    )
    def read_pages(self, workflow: str | None, statuses: frozenset[str] | None, limit: int) -> None:
        where = ExecutionFilter(workflow_id=workflow, statuses=statuses)
        self.both(lambda store: store.executions.count(where))
        cursor = None
        for _ in range(100):
            page = self.both(lambda store, at=cursor: store.executions.list(where, limit=limit, cursor=at))  # type: ignore[misc]
            cursor = page.next_cursor
            if cursor is None:
                return
        raise AssertionError("the pages do not end")

    @invariant()
    def same(self) -> None:
        if not self.ids:
            return
        for id in self.ids:
            self.both(lambda store, id=id: store.executions.get(id))  # type: ignore[misc]
        id = self.ids[-1]
        self.both(lambda store: store.executions.outputs(id))
        self.both(lambda store: store.executions.events(id))
        self.both(lambda store: store.executions.next_due(at=self.now))
        for key in "abc":
            self.both(lambda store, key=key: store.executions.slot_holders(key))  # type: ignore[misc]


STEPS = st.sampled_from(["a", "b", "a[1].b"])
RESULTS = st.builds(
    ItemResult,
    STEPS,
    st.sampled_from([-1, *range(4), *range(4)]),
    st.booleans(),
    key=st.none() | KEYS,
    output=st.sampled_from([None, b"1", b"[2]"]),
    masked=st.booleans(),
)
WAITS = st.builds(
    lambda node, call, name, key: (node, call, name, key),
    STEPS,
    st.integers(1, 3),
    st.sampled_from(["paid", "paid", "sent", None]),
    st.none() | st.sampled_from(["1", "2"]),
)


class SameWork(Alike):
    """Items, waits for events, events and state: what maps, repeats and waiting steps write."""

    worked = ""

    @precondition(lambda self: len(self.ids) < 8)
    @rule()
    def begin(self) -> None:
        for number in range(len(self.ids), len(self.ids) + 2):
            id = f"ex_{number}"
            made = new(id, at=self.now)
            created = self.both(lambda store, one=made: store.executions.create(one, worker="w1", lease=LEASE, at=NOW))  # type: ignore[misc]
            self.ids.append(id)
            self.epochs[id], self.seqs[id] = created.epoch, 1

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99))
    def end(self, index: int) -> None:
        id = self.known(index)
        projection = Projection("succeeded", started_at=NOW, finished_at=self.now, output=b"1")
        written = batch(self.seqs[id] + 1, "execution.succeeded")
        appended = self.both(lambda store: store.executions.append(id, self.epochs[id], written, projection))
        self.seqs[id] += not isinstance(appended, tuple)

    @precondition(lambda self: self.ids)
    @rule(
        index=st.integers(0, 99),
        items=st.lists(RESULTS, max_size=4),
        waits=st.lists(WAITS, max_size=2, unique_by=lambda wait: wait[:2]),
        consumed=st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=2),
        parks=st.sampled_from([False, False, False, True]),
        node=STEPS,
    )
    def work(self, index: int, items: Any, waits: Any, consumed: Any, parks: bool, node: str) -> None:
        id = self.worked = self.known(index)
        written = batch(self.seqs[id] + 1, "step.log", node=node)
        subscriptions = [Subscription(*wait, at=self.now) for wait in waits]
        projection = Projection("waiting", started_at=self.now, wake_at=self.now + 1) if parks else None
        epoch = self.epochs[id]
        for _ in range(2):  # a repeat changes nothing
            appended = self.both(
                lambda store: in_order(
                    store.executions.append(id, epoch, written, projection, None, consumed, items, subscriptions)
                )
            )
            if isinstance(appended, tuple):
                return
            if projection is not None:
                break  # the claim is over
        self.seqs[id] += 1

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99), one=RESULTS, other=RESULTS)
    def end_an_item_again(self, index: int, one: ItemResult, other: ItemResult) -> None:
        """As when what holds it begins again."""
        self.work(index, [one], [], [], False, "a")
        self.work(index, [replace(other, step_id=one.step_id, index=one.index)], [], [], False, "a")

    @precondition(lambda self: self.ids)
    @rule(index=st.integers(0, 99), node=STEPS, call=st.integers(0, 2))
    def use_answer(self, index: int, node: str, call: int) -> None:
        """A step takes its answer, and may have another."""
        answer = StoredAnswer(node, "answered", b"1", call)
        self.both(lambda store: store.executions.answer(self.known(index), answer))
        self.work(index, [], [], [(node, call)], False, node)
        self.both(lambda store: store.executions.answer(self.known(index), replace(answer, value=b"2")))

    @rule(
        number=st.integers(0, 30),
        name=st.sampled_from(["paid", "paid", "sent"]),
        key=st.none() | st.sampled_from(["1", "2"]),
        ttl=st.sampled_from([0, 5, 60]),
        once=st.none() | KEYS,
    )
    def send(self, number: int, name: str, key: str | None, ttl: int, once: str | None) -> None:
        event = SentEvent(f"ev_{number}", name, key, {"of": number}, self.now, self.now + ttl)
        used = Idempotency("events", once, f"{number}") if once else None
        self.both(lambda store: in_order(store.sent.send(event, idempotency=used)))

    @rule(many=st.integers(1, 5), age=st.integers(0, 40))
    def finish_events(self, many: int, age: int) -> None:
        found = self.both(lambda store: store.sent.pending(limit=many))
        self.both(lambda store: store.sent.done([event.id for event in found][: many // 2 + 1]))
        self.both(lambda store: store.sent.forget(received_before=self.now - age, now=self.now))

    @rule(
        workflow=st.sampled_from(["wf_a", "wf_b"]),
        key=KEYS,
        value=st.sampled_from([None, 1, {"a": [1]}, "x" * 3_000]),
        version=st.none() | st.integers(0, 4),
        once=st.none() | KEYS,
        lifetime=st.sampled_from([None, None, 1e6]),
    )
    def put(self, workflow: str, key: str, value: Any, version: int | None, once: str | None, lifetime: Any) -> None:
        used = Idempotency("state", once, "") if once else None
        self.both(
            lambda store: entry(
                store.state.put(workflow, key, value, lifetime=lifetime, version=version, idempotency=used)
            )
        )

    @rule(workflow=st.sampled_from(["wf_a", "wf_b"]), key=KEYS, version=st.none() | st.integers(0, 4))
    def drop(self, workflow: str, key: str, version: int | None) -> None:
        self.both(lambda store: store.state.delete(workflow, key, version=version))

    @invariant()
    def same_work(self) -> None:
        for workflow in ("wf_a", "wf_b"):
            for prefix in ("", "b"):
                self.pages(lambda store, at, w=workflow, p=prefix: store.state.list(w, prefix=p, limit=2, cursor=at))
            self.both(lambda store, w=workflow: entry(store.state.get(w, "a")))  # type: ignore[misc]
        self.pages(lambda store, at: store.sent.list(limit=4, cursor=at))
        self.pages(lambda store, at: store.sent.list(limit=4, cursor=at, name="paid", key="1"))
        self.both(lambda store: store.sent.pending(limit=100))
        for id in {self.worked} & {*self.ids}:
            for step in ("a", "b", "a[1].b"):
                for succeeded in (None, True, False):
                    self.both(
                        lambda store, id=id, s=step, ok=succeeded: store.executions.items(  # type: ignore[misc]
                            id, s, after=1, limit=3, succeeded=ok
                        )
                    )
                self.both(lambda store, id=id, s=step: store.executions.items(id, s))  # type: ignore[misc]

    def pages(self, read: Callable[[Store, str | None], Awaitable[Any]]) -> None:
        cursor: dict[Store, str | None] = {self.one: None, self.other: None}
        for _ in range(100):

            async def page(store: Store) -> Any:
                found = await read(store, cursor[store])
                cursor[store] = found.next_cursor
                return [known(one) for one in found.items], found.next_cursor is None

            if self.both(page)[1]:
                return
        raise AssertionError("the pages do not end")


def known(record: Any) -> Any:
    """An entry without its instants, which each store takes from the clock by itself."""
    if not isinstance(record, StateEntry):
        return record
    return record.key, record.value, record.version, record.expires_at is None


async def everything(asked: Awaitable[Any], *, in_turn: bool = False) -> Any:
    """What was claimed, with its answers in an order; and in one itself, but `in_turn`."""
    found = await asked
    for claimed in found:
        claimed.answers.sort(key=lambda one: (one.node_id, one.call))
    return found if in_turn else sorted(found, key=lambda claimed: claimed.execution.id)


async def in_order(asked: Awaitable[Any]) -> Any:
    """What was appended or sent, with its answers in an order: the ports promise none."""
    found = await asked
    if isinstance(found, Appended):
        return replace(found, answers=tuple(sorted(found.answers, key=lambda one: (one.node_id, one.call))))
    event, answers = found
    return event, sorted(answers, key=lambda one: one[0])


async def entry(asked: Awaitable[Any]) -> Any:
    try:
        return known(await asked)
    except KeyUsed as error:
        return "used", error.fingerprint, error.result
    except Conflict as error:
        return error.code, error.message


URLS: list[str] = []


@pytest.fixture(scope="module")
def database() -> Iterator[None]:
    """One for all examples."""
    with running_postgres(fsync="off") as server:
        URLS[:] = [server.new_database()]
        yield


class OnPostgres(Alike):
    """PostgreSQL instead of the memory."""

    @initialize()
    def open(self) -> None:
        psycopg, store = importlib.import_module("psycopg"), importlib.import_module("aicflow_postgres.store")
        with psycopg.connect(URLS[0], autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        self.other = store.PostgresStore(URLS[0])
        super().open()


class BehaviourOnPostgres(OnPostgres, SameBehaviour):
    pass


class WorkOnPostgres(OnPostgres, SameWork):
    pass


def on_postgres[T](case: type[T]) -> type[T]:
    missing = binaries() is None or importlib.util.find_spec("aicflow_postgres") is None
    return pytest.mark.usefixtures("database")(pytest.mark.skipif(missing, reason=MISSING)(case))


EXAMPLES = int(os.environ.get("AICFLOW_SAME_EXAMPLES", "15"))
TestSameWork = SameWork.TestCase
TestSameBehaviour = SameBehaviour.TestCase
TestWorkOnPostgres = on_postgres(WorkOnPostgres.TestCase)
TestBehaviourOnPostgres = on_postgres(BehaviourOnPostgres.TestCase)
TestSameBehaviour.settings = TestSameWork.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestBehaviourOnPostgres.settings = TestWorkOnPostgres.settings = settings(
    TestSameWork.settings, max_examples=EXAMPLES // 5
)
