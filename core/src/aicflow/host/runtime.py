"""One host at work: everything that is opened at its start and closed at its end, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aicflow.engine.clock import SystemClock, follow
from aicflow.engine.files import FileLimits, Files
from aicflow.engine.options import EngineOptions
from aicflow.engine.worker.watchdog import LoopWatchdog
from aicflow.host.agreement import agree_on_secret
from aicflow.host.audit import SYSTEM, Auditor
from aicflow.host.audit_chain import AuditKey
from aicflow.host.callers import Callers
from aicflow.host.datadir import write_private
from aicflow.host.event_triggers import Dispatcher
from aicflow.host.fitting import check_limits
from aicflow.host.following import Follower
from aicflow.host.housekeeping import Housekeeper
from aicflow.host.issuers import read_issuers
from aicflow.host.keys import KeyRing, is_well_formed, new_key
from aicflow.host.metrics import Metrics
from aicflow.host.node_health import NodeHealth
from aicflow.host.plugins import Plugins
from aicflow.host.retention import age
from aicflow.host.secret_keys import SecretKeys
from aicflow.host.secrets import SecretService, StoredSecrets
from aicflow.host.settings import Settings
from aicflow.host.tokens import Tokens
from aicflow.host.trigger_runtime import HostTriggerRuntime
from aicflow.host.triggers import TriggerService
from aicflow.host.warm_up import WarmUp
from aicflow.host.wiring import make_executions, make_store, secrets_of
from aicflow.host.workflows import WorkflowService
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError, NotFound
from aicflow.kernel.execution import Execution, Step
from aicflow.kernel.ports.store import Store
from aicflow.kernel.records import DraftTrigger, Mount
from aicflow.kernel.trigger import TriggerRuntime
from aicflow.language.validation import Limits
from aicflow.statistics import KeepsStatistics
from aicflow.store.contents import open_contents

_log = logging.getLogger("aicflow.host")


class HostRuntime:
    """The `Runtime` lent to routes, and what the API works with. Made on an open store; see `running`."""

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        store: Store,
        *,
        options: EngineOptions | None = None,
        clock: Clock | None = None,
        observers: Sequence[Any] = (),
        triggers: bool = True,
    ) -> None:
        self.settings = settings
        self.data = settings.data
        self.plugins = plugins
        self.registry = plugins.registry
        self.store = store
        self.clock: Clock = clock or SystemClock()
        secret_keys = SecretKeys(settings, plugins.collect("aicflow_key_wrappers"))
        self.stored_secrets = StoredSecrets(store, secret_keys)
        self.secrets = secrets_of(
            plugins,
            store,
            stored=self.stored_secrets,
            order=settings.secrets_sources,
            lifetime=settings.secrets_lifetime,
            timeout=settings.secrets_timeout,
        )
        self.secret_service = SecretService(store, self.stored_secrets, secret_keys, self.secrets, self.clock)
        options = options or EngineOptions(
            engine=settings.engine,
            max_running=settings.max_running if settings.worker else 0,
            lease=settings.lease,
            grace=settings.grace,
            teardown=settings.teardown,
            max_depth=settings.max_call_depth,
            max_output=settings.max_output_bytes,
            max_state=settings.max_state_bytes,
            queues=settings.queues or None,
            worker_name=settings.worker_name,
            missing_grace=settings.missing_grace,
        )
        server_secret = self.data.server_secret()
        self.files = Files(
            store.files,
            open_contents(settings.files_url),
            self.clock,
            owner=self.data.files_owner(),
            limits=FileLimits(settings.max_file_bytes, settings.files_quota, age(settings.file_age)),
        )
        self.executions = make_executions(
            plugins,
            store,
            options,
            secrets=self.secrets,
            observers=observers,
            clock=self.clock,
            server_secret=server_secret,
            files=self.files,
        )
        self.node_health = NodeHealth(self.registry, self.executions.nodes.health)
        self.warm_up = WarmUp(store.workflows, self.registry, self.executions.nodes.get)
        self.auditor = Auditor(
            store.audit, AuditKey(server_secret), self.clock, starts=settings.audit_starts, keep=settings.audit_seconds
        )
        self.trigger_runtime = HostTriggerRuntime(
            self.executions, store, self.secrets, self.clock, settings.max_body_bytes, self.auditor
        )
        self.trigger_service = TriggerService(store, self.registry, self.trigger_runtime, self.secrets)
        self.following = Follower(store, self.trigger_service if triggers else None, self.registry)
        self.events = Dispatcher(store, self.executions.vault, self.trigger_service, self.following)
        # another host may have saved a workflow that waits for an end which this host is just writing
        self.executions.announce(
            self.events.may_want if store.exclusive else lambda workflow_id: True, self.events.ended
        )
        limits = Limits(depth=settings.max_document_depth, nodes=settings.max_document_nodes)
        self.workflows = WorkflowService(
            store,
            self.registry,
            self.secrets,
            self.trigger_service,
            self.following,
            self.clock,
            limits,
            prepare=self.executions.prepare,
        )
        self.keys = KeyRing(store.keys, server_secret, self.clock)
        tokens = Tokens(read_issuers(settings.jwt_issuers), self.clock)
        self.callers = Callers(store.keys, self.keys, tokens, self.clock)
        self.metrics = Metrics()
        self.watchdog = LoopWatchdog(lag=self.metrics.loop_lag)
        self.metrics.watch(self.executions, self.watchdog, self.trigger_runtime.failures)
        self.closing = asyncio.Event()
        self.open_streams: Counter[str] = Counter()
        """How many each key holds open, by the key's id."""
        self.configuring = asyncio.Lock()
        self.new_admin_key: str | None = None

    @property
    def triggers(self) -> TriggerRuntime:
        """What trigger types use."""
        return self.trigger_runtime

    def trigger_type(self, type_id: str) -> Any:
        """This process's instance of a trigger type. Raises NotFound."""
        return self.trigger_service.trigger_type(type_id)

    async def draft_trigger(self, workflow_id: str, trigger_id: str, type_id: str) -> DraftTrigger:
        """A trigger as its workflow's newest version has it. Raises NotFound, Conflict."""
        return await self.trigger_service.draft(workflow_id, trigger_id, type_id)

    def signing_key(self, purpose: str) -> bytes:
        """A key made of the server's secret for a purpose."""
        return self.executions.signing_key(purpose)

    async def step(self, execution_id: str, step_id: str) -> Step:
        """A step as it is now. Raises NotFound."""
        for step in await self.executions.steps(execution_id, around=step_id):
            if step.node_id == step_id:
                return step
        raise NotFound("step", step_id)

    async def resume(self, execution_id: str, step_id: str, value: Any) -> None:
        """Answer a waiting step. Raises NotFound, Conflict, InputInvalid."""
        await self.executions.resume(execution_id, step_id, value=value)

    async def stopping(self) -> None:
        """Returns when the host begins to stop."""
        await self.closing.wait()

    async def wait(self, execution_id: str, seconds: float) -> Execution | None:
        """Wait for the execution's end, the time, or the host's stop, which must not be held up by who waits. Gives
        the execution when it has ended."""
        ended = asyncio.ensure_future(self.executions.wait(execution_id, seconds))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait((ended, closing), return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else None
        finally:
            ended.cancel()
            closing.cancel()

    def mounts(self) -> list[Mount]:
        """The apps that plugins add."""
        return self.plugins.collect("aicflow_routes", runtime=self)

    async def ensure_admin_key(self) -> None:
        """Make the admin key when there is none that counts: at the first start. A key file that is there already is
        used again, so that a store in memory keeps its key over restarts."""
        now = self.clock.now()
        records = await self.keys.list()
        if any(
            "admin" in one.scopes and one.revoked_at is None and (one.expires_at or now + 1) > now for one in records
        ):
            return
        key = self.data.admin_key()
        if key is None or not is_well_formed(key) or any(one.hash == self.keys.hash(key) for one in records):
            key = self.new_admin_key = new_key()
            await asyncio.to_thread(write_private, self.data.admin_key_file, key + "\n")
        record, _ = await self.keys.create("admin", ["admin"], key=key)
        self.auditor.note(SYSTEM, "create_api_key", "api-keys", made=record.id)


@asynccontextmanager
async def running(
    settings: Settings, plugins: Plugins, *, store: Store | None = None, triggers: bool = True, **parts: Any
) -> AsyncIterator[HostRuntime]:
    """A host at work: the store open, the worker running, the triggers active. Closed in the opposite order, also when
    opening fails half-way. Without `triggers` it fires none and takes no requests. Raises AICFlowError."""
    check_limits(settings, [node.cls for node in plugins.registry.nodes()])
    settings.data.prepare()
    store = store if store is not None else make_store(plugins, settings.store_url)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        if store.exclusive and (settings.processes > 1 or not (settings.worker and triggers)):
            raise AICFlowError(
                "Several processes, or servers and workers apart, need a store that several hosts share, and this"
                " store has one host.",
                hint="Use `aicflow serve` as one process, or set AICFLOW_STORE to a PostgreSQL URL"
                " (pip install aicflow-postgres).",
            )
        if store.exclusive and settings.queues:
            raise AICFlowError(
                "A store of one host has one worker, which takes from every queue: AICFLOW_QUEUES must not be set.",
                hint="Leave --queues out, or set AICFLOW_STORE to a PostgreSQL URL (pip install aicflow-postgres).",
            )
        await agree_on_secret(store, settings.data.server_secret())
        runtime = HostRuntime(settings, plugins, store, triggers=triggers, **parts)
        if (clock := await follow(runtime.clock, store)) is not None:
            stack.callback(clock.cancel)
        runtime.registry.configure_all(await store.node_settings.all())
        stack.push_async_callback(runtime.keys.close)
        stack.push_async_callback(runtime.callers.close)
        stack.callback(runtime.workflows.close)
        stack.push_async_callback(runtime.auditor.stop)
        runtime.auditor.start()
        await runtime.stored_secrets.open()
        await runtime.ensure_admin_key()
        await runtime.files.open()
        stack.push_async_callback(runtime.secret_service.stop)
        runtime.secret_service.start()
        await runtime.executions.open()
        stack.push_async_callback(runtime.executions.close)
        stack.push_async_callback(runtime.node_health.close)
        stack.push_async_callback(runtime.warm_up.stop)
        if triggers:
            stack.push_async_callback(runtime.trigger_service.stop)
            await runtime.trigger_service.start()
            rotated = asyncio.create_task(runtime.trigger_service.follow_secrets(max(settings.secrets_lifetime, 1.0)))
            stack.callback(rotated.cancel)
        stack.push_async_callback(runtime.following.stop)
        runtime.following.start()
        if triggers:
            stack.push_async_callback(runtime.events.stop)
            runtime.events.start()
        keeper = Housekeeper(
            store.maintenance,
            settings.retention_rules,
            runtime.clock,
            every=settings.retention_every,
            key_age=age(settings.idempotency_age),
            fire_age=age(settings.fire_age),
            events=store.sent,
            event_age=age(settings.event_age),
            auditor=runtime.auditor,
            files=runtime.files,
            alone=store.exclusive,
            delivery_age=settings.delivery_seconds,
            part_ages=settings.part_ages,
            statistics=store.statistics if isinstance(store, KeepsStatistics) else None,
            statistics_age=age(settings.statistics_age),
        )
        stack.push_async_callback(keeper.stop)
        keeper.start()
        stack.callback(runtime.closing.set)
        runtime.watchdog.start()  # last: imports until now have blocked no request
        stack.callback(runtime.watchdog.stop)
        yield runtime
