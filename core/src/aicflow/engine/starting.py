"""Accepting executions: what is checked before one exists, its row and first events, and who runs it then."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from aicflow_language.suggest import did_you_mean
from aicflow_language.template import compile_template

from aicflow.engine.environment import Environment
from aicflow.engine.files import files_in, named_files
from aicflow.engine.history import History
from aicflow.engine.ids import new_id
from aicflow.engine.log import INPUT, TRIGGER, read_history, sealed_value
from aicflow.engine.masking import MASKED, Mask
from aicflow.engine.nodes.disabled import node_type_disabled
from aicflow.engine.nodes.params import resolved
from aicflow.engine.run.items import read_items
from aicflow.engine.subjects import subject_hash
from aicflow.engine.worker.plans import PlanCache
from aicflow.engine.worker.worker import Worker
from aicflow.events import decode_event, encode_event
from aicflow.kernel.document import Map
from aicflow.kernel.errors import (
    Conflict,
    InputInvalid,
    NodeError,
    NotFound,
    PermanentError,
    ReferenceFailed,
)
from aicflow.kernel.execution import Execution, Started, TriggerInfo, WhenFull
from aicflow.kernel.ports.audit import pending_audit
from aicflow.kernel.ports.executions import Claimed, EventBatch, Fire, Idempotency, ItemResult, NewExecution, SlotLimit
from aicflow.kernel.ports.workflows import WorkflowRecord
from aicflow.kernel.trigger import Overlap
from aicflow.kernel.values import dumps, loads, pointer
from aicflow.language.plan import Plan, item_plan
from aicflow.removal import check_kept
from aicflow.workers import DEFAULT_QUEUE

_MOST_FIRST: Final = 32
_HELD: Final = 3600.0
"""Seconds for which the files of an input are kept until its execution holds them."""
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRIGGER: Final = tuple(field.name for field in fields(TriggerInfo))
_WHEN_FULL: Final[dict[Overlap, WhenFull]] = {"skip": "skip", "queue": "queue", "cancel_other": "cancel_oldest"}


def valid_traceparent(header: str | None) -> str | None:
    """The value of a `traceparent` header, None when it is not one. What a later version of the standard adds behind it
    is left out."""
    match = _TRACEPARENT.match(header) if header else None
    if match is None or header is None:
        return None
    rest = header[match.end() :]
    return match[0] if not rest or (rest[0] == "-" and not header.startswith("00")) else None


@dataclass(frozen=True, slots=True)
class StartedBy:
    """Who starts an execution, as the audit names it, and how many that it started may be queued."""

    actor: str
    max_queued: int


class _Keep:
    """The type of KEEP."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()
"""Rerun with the input as it was."""


class Starter:
    """The part of the front door that accepts executions: for a call, for a trigger's fire, and again."""

    def __init__(self, env: Environment, plans: PlanCache, worker: Worker) -> None:
        self._env = env
        self._plans = plans
        self._worker = worker

    async def start(
        self,
        workflow_id: str,
        input: Any = None,
        *,
        version: int | None = None,
        trigger: TriggerInfo | None = None,
        priority: int = 0,
        engine: str | None = None,
        idempotency: Idempotency | None = None,
        hidden: Collection[str] = (),
        by: StartedBy | None = None,
        item_of: Execution | None = None,
    ) -> Started:
        """Accept an execution. Durable when it returns. `hidden` are values that are masked in it besides the known
        secrets; `item_of`: it is an item of a map of that one. Raises NotFound (workflow, version, engine, node type),
        Conflict (`disabled`, `node-type-disabled`, `limit-reached`, `queue-full`), InputInvalid, ReferenceFailed."""
        trigger = trigger or TriggerInfo()
        subjects: list[str] | None = None
        if item_of is None:
            plan = await self._plan(workflow_id, version)
        else:
            whole = await self._plans.get(item_of.workflow_id, item_of.version)
            plan = item_plan(whole, trigger.parent_node_id or "")
            subjects = self._subjects(whole, item_of.input, item_of.trigger)
            engine = item_of.engine
        return await self._accept(
            plan,
            input,
            trigger,
            priority=priority,
            engine=engine,
            idempotency=idempotency,
            hidden=hidden,
            by=by,
            subjects=subjects,
        )

    async def fire(
        self,
        workflow_id: str,
        trigger_id: str,
        payload: Any,
        fire: Fire,
        *,
        overlap: Overlap = "allow",
        version: int | None = None,
        idempotency: Idempotency | None = None,
        traceparent: str | None = None,
        depth: int | None = None,
        by: StartedBy | None = None,
    ) -> Started:
        """Accept an execution for a trigger: its payload, mapped by the trigger's `input`, is the input. A `version`
        that is named runs though the workflow is disabled. `depth` is how many executions started each other before
        it. Raises as `start` does; NotFound when the version has no such trigger, Conflict (`too-deep`)."""
        if depth is not None and depth >= self._env.options.max_depth:
            raise Conflict(
                f"Workflows start each other {depth} deep, which is the limit of this server.",
                code="too-deep",
                hint="Do they start each other in a circle? The setting AICFLOW_MAX_CALL_DEPTH is the limit.",
            )
        plan = await self._plan(workflow_id, version, draft=version is not None)
        entry = next((entry for entry in plan.document.triggers if entry.id == trigger_id), None)
        if entry is None:
            raise NotFound("trigger", f"{workflow_id}:{trigger_id}")
        input = payload
        if "input" in entry.model_fields_set:
            scope = {"trigger": payload, "vars": plan.vars}
            input = resolved(compile_template(entry.input), scope, None, f"triggers.{trigger_id}.input")
        trigger = TriggerInfo(
            kind="trigger",
            trigger_id=trigger_id,
            type_id=entry.type,
            key=fire.key,
            scheduled_for=fire.scheduled_for,
            payload=payload,
            depth=depth,
            traceparent=valid_traceparent(traceparent),
        )
        when_full = _WHEN_FULL.get(overlap)
        limits = () if when_full is None else (SlotLimit(f"trigger:{fire.binding_id}", 1, when_full),)
        return await self._accept(plan, input, trigger, fire=fire, limits=limits, idempotency=idempotency, by=by)

    async def rerun(
        self,
        execution_id: str,
        *,
        input: Any = KEEP,
        version: int | Literal["pinned", "latest"] = "pinned",
        from_node: str | None = None,
        reuse: Literal["succeeded"] | None = None,
        idempotency: Idempotency | None = None,
        by: StartedBy | None = None,
    ) -> Started:
        """A new execution from an old one. With `from_node`, the outputs of everything that is not downstream of it
        are taken over; when it is a map, `reuse="succeeded"` takes over its items that succeeded, by their keys or else
        their places in the list. Raises as `start` does; Conflict when `from_node` is not in the workflow, or not a map
        though items are to be reused, or when retention has removed what is needed of the old one (`removed`)."""
        executions = self._env.store.executions
        old = await executions.get(execution_id)
        check_kept(execution_id, old.removed, "payloads")
        if old.trigger.kind == "item":
            raise Conflict(
                f"Execution {execution_id} is an item of a map.",
                code="item-of-map",
                hint=f"Rerun {old.trigger.parent_execution_id} from the map, with reuse: succeeded.",
            )
        number = old.version if version == "pinned" else None if version == "latest" else version
        plan = await self._plan(old.workflow_id, number)
        reused: Mapping[str, tuple[str, bytes]] = {}
        if from_node is not None:
            reused = _reusable_outputs(plan, await read_history(executions, execution_id), from_node)
        trigger = TriggerInfo(kind="rerun", payload=old.trigger.payload)
        if input is KEEP:
            held = MASKED.encode() in dumps([old.input, old.trigger.payload])
            if held and await self._held_secret(old):
                raise Conflict(
                    "The input of this execution held a secret; only its masked form was kept.",
                    code="input-masked",
                    hint="Give the input for the rerun, or replay the delivery that started it.",
                )
            input = old.input
        items: Sequence[ItemResult] = ()
        if reuse is not None:
            scope = {
                "input": input,
                "trigger": trigger.payload,
                "nodes": {name: {"output": loads(encoded)} for name, (_, encoded) in reused.items()},
                "vars": plan.vars,
            }
            items = await self._reusable_items(plan, execution_id, from_node, scope)
        return await self._accept(
            plan,
            input,
            trigger,
            items=items,
            engine=old.engine,
            rerun_of=execution_id,
            reused=reused,
            idempotency=idempotency,
            by=by,
        )

    async def _held_secret(self, execution: Execution) -> bool:
        """Whether the input that is kept of an execution is a masked one."""
        first = await self._env.store.executions.events(execution.id, after=0, limit=1)
        return bool(decode_event(first[0]).data.get("masked")) if first else True

    async def _reusable_items(
        self, plan: Plan, execution_id: str, from_node: str | None, scope: Mapping[str, Any]
    ) -> list[ItemResult]:
        """The items of this map that succeeded in the execution, as the new one will number them. Raises Conflict."""
        node = plan.nodes[plan.index[from_node]] if from_node is not None else None
        if node is None or node.body is None or not isinstance(node.body.entry, Map):
            raise Conflict(
                "Only the items of a map can be reused.",
                code="not-a-map",
                hint="Name the map in from_node, or leave reuse out.",
            )
        places: dict[str | None, int] | None = None
        if node.body.rule is not None:
            try:
                _, keys = await read_items(node, scope, _unknown_secret)
            except NodeError as error:
                raise Conflict(
                    f"Which items {node.id!r} will have is not known: {error.message}",
                    code="items-unknown",
                    hint="Leave reuse out, so that every item runs again.",
                ) from None
            vault = self._env.vault
            places = {vault.key(str(key), vault.mask): index for index, key in enumerate(keys or ())}
        found: list[ItemResult] = []
        after = -1
        read = self._env.store.executions.items
        while page := await read(execution_id, node.id, after=after, succeeded=True):
            after = page[-1].index
            for item in page:
                index = item.index if places is None else places.get(item.key)
                if index is None:
                    continue
                if item.masked:
                    raise Conflict(
                        f"The output of item {item.index} of {node.id!r} held a secret; only its masked form was kept.",
                        code="output-masked",
                        hint="Leave reuse out, so that every item runs again.",
                    )
                found.append(replace(item, index=index, first_seq=None, last_seq=None))
        return found

    def prepare(self, record: WorkflowRecord) -> None:
        """Compile the current version of a workflow, so that its first execution need not. Any thread may call it."""
        self._plans.prepare(record)

    async def _plan(self, workflow_id: str, version: int | None, *, draft: bool = False) -> Plan:
        """The plan of a version, of the current one when none is named. Raises NotFound, Conflict."""
        record = await self._env.store.workflows.get(workflow_id)
        if not record.enabled and not draft:
            raise Conflict(
                f"Workflow {workflow_id} is disabled.", code="disabled", hint="Enable it to start executions."
            )
        if version is None or version == record.version:
            return self._plans.current(record)
        return await self._plans.get(workflow_id, version)

    async def _with_files(self, input: Any) -> Any:
        """The input with each file's real size, and its type and name where it has none. The files are kept until the
        execution holds them. Raises PermanentError (`file-not-found`)."""
        files = list(named_files(input))
        until = self._env.clock.now() + _HELD
        known = await self._env.store.files.hold({file["$blob"] for _, file in files}, until=until)
        for place, file in files:
            if (record := known.get(file["$blob"])) is None:
                raise PermanentError(
                    f"input{pointer(*place)}: there is no file {file['$blob']}.",
                    code="file-not-found",
                    pointer=pointer(*place),
                    hint="Upload it first: POST /api/v1/files. A file that no execution holds expires.",
                )
            file |= {
                "size": record.size,
                "type": file.get("type") or record.type,
                "name": file.get("name") or record.name,
            }
        return input

    def _subjects(self, plan: Plan, input: Any, trigger: TriggerInfo) -> list[str]:
        """Whom an execution with this input is about, as keyed hashes. Raises ReferenceFailed."""
        rule = plan.document.settings.subject
        if rule is None:
            return []
        scope = {"input": input, "trigger": trigger.payload, "vars": plan.vars}
        found = resolved(compile_template(rule), scope, None, "settings.subject")
        return list(dict.fromkeys(subject_hash(self._env.seal.signing_key("subjects"), name) for name in _names(found)))

    async def _accept(
        self,
        plan: Plan,
        input: Any,
        trigger: TriggerInfo,
        *,
        engine: str | None = None,
        priority: int = 0,
        idempotency: Idempotency | None = None,
        fire: Fire | None = None,
        limits: tuple[SlotLimit, ...] = (),
        rerun_of: str | None = None,
        reused: Mapping[str, tuple[str, bytes]] | None = None,
        items: Sequence[ItemResult] = (),
        hidden: Collection[str] = (),
        by: StartedBy | None = None,
        subjects: list[str] | None = None,
    ) -> Started:
        """Check the input, create the execution, and run it at once where there is room. `limits` are kept beside the
        workflow's own; `reused` are outputs taken over from another execution: node id → (port, encoded output);
        `items` those of its maps."""
        env, worker = self._env, self._worker
        if by is not None:
            trigger = replace(trigger, started_by=by.actor)
        if engine is not None:
            env.engine(engine)
        if plan.disabled is not None:
            raise node_type_disabled(Conflict, plan.disabled)
        encoded_input = dumps(input)
        if b"$blob" in encoded_input:
            encoded_input = dumps(input := await self._with_files(loads(encoded_input)))
        if plan.input_validator is not None:
            violations = plan.input_validator.validate(input, limit=20)
            if violations:
                raise InputInvalid([(violation.pointer, violation.message) for violation in violations])
        now = round(env.clock.now(), 6)  # as fine as stores keep it, so that it reads the same from everywhere
        execution_id = new_id("ex", now)
        if (pending := pending_audit.get()) is not None:
            pending.made = execution_id
        data: dict[str, Any] = {"workflow_id": plan.workflow_id, "version": plan.version, "trigger": trigger.kind}
        mask = Mask(hidden, env.secrets.mask)
        shown = mask.json(encoded_input)
        outputs: dict[str, bytes] = {}
        if hidden or shown is not encoded_input:
            # what is kept is for people; the execution itself works with the real one
            outputs |= [sealed_value(env.seal, execution_id, INPUT, hidden, encoded_input)]
            data |= {"masked": True} if shown is not encoded_input else {}
        encoded_payload, shown_payload = encoded_input, shown
        if trigger.payload is not input:
            encoded_payload = dumps(trigger.payload)
            shown_payload = mask.json(encoded_payload)
        payload = trigger.payload
        if shown_payload is not encoded_payload:
            outputs |= [sealed_value(env.seal, execution_id, TRIGGER, hidden, encoded_payload)]
            data["masked"] = True
            payload = loads(shown_payload)
        events = [encode_event(1, now, "execution.queued", execution_id, data=data)]
        limits += _slot_limits(plan, input, trigger)
        if subjects is None:
            subjects = self._subjects(plan, input, trigger)
        requires = await worker.abilities.number(plan.workflow_id, plan.version, plan.document, engine)
        born_claimed = worker.has_room() and worker.abilities.takes_from(plan.document.settings.queue or DEFAULT_QUEUE)
        begun: list[str] | None = None
        if born_claimed and not limits and not reused and not items:
            # nothing can keep it from running now: one commit accepts it and starts its first steps
            begun = _first_steps(plan)
            data = {"engine": engine or plan.document.settings.engine or env.options.engine, "claim": 1}
            events.append(encode_event(2, now, "execution.started", execution_id, data=data))
            events += [
                encode_event(seq, now, "step.started", execution_id, node_id, 1) for seq, node_id in enumerate(begun, 3)
            ]
        for node_id, (port, encoded) in (reused or {}).items():
            head = b'{"reused_from":' + dumps(rerun_of) + b',"port":' + dumps(port)
            if len(encoded) <= env.options.inline_output:
                body = head + b',"output":' + encoded + b"}"
            else:
                outputs[node_id] = encoded
                body = head + b',"output_stored":true,"output_size":' + str(len(encoded)).encode() + b"}"
            events.append(encode_event(len(events) + 1, now, "step.succeeded", execution_id, node_id, 1, body))
        kept = replace(trigger, payload=payload)
        started_by = dumps({name: value for name in _TRIGGER if (value := getattr(kept, name)) is not None})
        new = NewExecution(
            id=execution_id,
            workflow_id=plan.workflow_id,
            version=plan.version,
            created_at=now,
            events=EventBatch(1, events),
            input=shown,
            trigger=started_by,
            engine=engine or plan.document.settings.engine,
            priority=priority,
            available_at=now,
            limits=limits,
            fire=fire,
            idempotency=idempotency,
            rerun_of=rerun_of,
            parent_execution_id=trigger.parent_execution_id,
            parent_node_id=trigger.parent_node_id,
            parent_call=trigger.parent_call or 0,
            outputs=outputs,
            items=items,
            files=files_in(
                *events, *outputs.values(), *(item.output or b"" for item in items), encoded_input, encoded_payload
            ),
            started_at=None if begun is None else now,
            subjects=subjects,
            requires=requires,
            max_queued=by.max_queued if by is not None else None,
        )
        created = await env.store.executions.create(
            new, worker=worker.id if born_claimed else None, lease=env.options.lease, at=worker.at()
        )
        if created.queue_full and by is not None:
            raise Conflict(
                f"{by.max_queued:,} executions that {by.actor} started are queued, which is its limit.",
                code="queue-full",
                hint="Nothing was started. Start it again when some of them have begun, or cancel what is not wanted;"
                " `max_queued` of the API key, or the setting AICFLOW_MAX_QUEUED_PER_KEY, is the limit.",
            )
        if created.skipped or created.execution_id is None:
            raise Conflict(
                "Concurrency limit reached, and its rule is to skip.",
                code="limit-reached",
                hint="Nothing was started. Try again when an execution has ended.",
            )
        if created.duplicate:
            return Started(created.execution_id, duplicate=True, fingerprint=created.fingerprint)
        for cancelled in created.cancelled:
            worker.cancel(cancelled)
            worker.wake()
            env.hint("cancel", cancelled)
        env.hub.publish(new.id, new.workflow_id, 1, events)
        if not created.epoch:
            if created.admitted:
                env.wake()
            return Started(new.id)
        execution = Execution(
            id=new.id,
            workflow_id=new.workflow_id,
            version=new.version,
            status="running",
            created_at=now,
            started_at=new.started_at,
            input=input if shown is encoded_input else loads(shown),
            trigger=trigger,
            engine=new.engine,
            last_seq=new.events.last_seq,
            epoch=created.epoch,
            priority=priority,
            rerun_of=rerun_of,
            idempotency_key=idempotency.key if idempotency else None,
        )
        ended: dict[str, dict[int, bool]] = {}
        for item in items:
            ended.setdefault(item.step_id, {})[item.index] = item.succeeded
        await worker.launch(Claimed(execution, events if reused else [], outputs, [], items=ended), begun)
        return Started(new.id, execution=execution)


def _names(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict | list | bool):
            raise ReferenceFailed(
                "settings.subject must be text, a number, null, or a list of such.", pointer="/settings/subject"
            )
        if one is not None:
            yield str(one)


def _unknown_secret(name: str) -> str:
    raise PermanentError(f"The list needs the secret {name!r}.")


def _first_steps(plan: Plan) -> list[str]:
    """The nodes whose steps begin with the execution, where a crash before they ran costs no more than an attempt."""
    incoming = plan.graph.incoming
    first = [node for node in plan.nodes if not incoming[node.index] and not node.always]
    return [node.id for node in first if node.on_recovery == "retry"] if len(first) <= _MOST_FIRST else []


def _slot_limits(plan: Plan, input: Any, trigger: TriggerInfo) -> tuple[SlotLimit, ...]:
    """The concurrency limits that an execution with this input falls under. Raises ReferenceFailed."""
    settings = plan.document.settings
    limits: list[SlotLimit] = []
    if settings.max_concurrency is not None:
        limits.append(SlotLimit(f"workflow:{plan.workflow_id}", settings.max_concurrency))
    rule = settings.concurrency
    if rule is not None:
        scope = {"input": input, "trigger": trigger.payload, "vars": plan.vars}
        key = resolved(compile_template(rule.key), scope, None, "settings.concurrency.key")
        if isinstance(key, dict | list):
            raise ReferenceFailed(
                "settings.concurrency.key must be text or a number.", pointer="/settings/concurrency/key"
            )
        limits.append(SlotLimit(f"key:{plan.workflow_id}:{key}", rule.limit, rule.when_full))
    return tuple(limits)


def _reusable_outputs(plan: Plan, history: History, from_node: str) -> dict[str, tuple[str, bytes]]:
    """Node id → (port, encoded output) of every step that succeeded and is not downstream of `from_node`. Raises
    Conflict when the workflow has no such node, or when one of the outputs is not known any more (`output-masked`)."""
    start = plan.index.get(from_node)
    if start is None:
        raise Conflict(
            f"The workflow has no node {from_node!r}.",
            code="unknown-node",
            hint=did_you_mean(from_node, plan.index),
        )
    downstream = {start}
    queue = [start]
    for node in queue:  # grows while it is read
        for _, target in plan.graph.successors[node]:
            if target not in downstream:
                downstream.add(target)
                queue.append(target)
    reused: dict[str, tuple[str, bytes]] = {}
    for name, step in history.steps.items():
        index = plan.index.get(name)
        if index is None or index in downstream or step.status != "succeeded" or step.port is None:
            continue
        if step.masked:
            raise Conflict(
                f"The output of {name!r} held a secret; only its masked form was kept after the execution ended.",
                code="output-masked",
                hint=f"Rerun from {name!r} or a node before it, so that it runs again.",
            )
        reused[name] = (step.port, dumps(step.output))
    return reused
