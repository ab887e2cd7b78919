"""Data subjects: finding, exporting and erasing what is kept about a person, and the record of processing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aicflow.engine.subjects import subject_hash
from aicflow.host.views import delivery_view, execution_view, sent_event_view, state_view, step_view
from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.audit import pending_audit
from aicflow.kernel.ports.executions import Labels
from aicflow.kernel.ports.subjects import DataSubject, Holding
from aicflow.kernel.values import loads
from aicflow.store.search import SHORTEST, files_with

if TYPE_CHECKING:
    from aicflow.host.runtime import HostRuntime

_BATCH: Final = 50
_ROUNDS: Final = 100
_END_SECONDS: Final = 60.0
_SENDING: Final = ("http.request", "ai.agent", "webhook.respond")
"""Node types that pass data on to others."""


class Subjects:
    """What this host can do about a person. `value` is who they are, as inputs name them: an address, a number."""

    def __init__(self, runtime: HostRuntime) -> None:
        self._runtime = runtime
        self._store = runtime.store

    def _subject(self, value: str | None, labels: Labels) -> DataSubject:
        if value is None:
            return DataSubject(labels=labels)
        return DataSubject(subject_hash(self._runtime.signing_key("subjects"), value), value.strip(), labels)

    async def find(self, value: str | None, labels: Labels = ()) -> Sequence[Holding]:
        """Everything that holds data of theirs."""
        return await self._store.subjects.find(self._subject(value, labels))

    async def export(self, value: str | None, labels: Labels = ()) -> AsyncIterator[dict[str, Any]]:
        """All of it, thing by thing: `kind`, `id` and `data`. Secrets of the server are masked in it."""
        for one in await self.find(value, labels):
            try:
                data = await self._data(one)
            except NotFound:
                continue  # it went meanwhile
            yield {"kind": one.kind, "id": one.id, "data": data}

    async def _data(self, one: Holding) -> Any:
        runtime, store, vault = self._runtime, self._store, self._runtime.executions.vault
        mask = vault.mask
        match one.kind:
            case "execution":
                execution = await runtime.executions.get(one.id)
                has_values, has_events = (part not in execution.removed for part in ("payloads", "events"))
                shown = execution_view(execution, mask=mask)
                found = await runtime.executions.steps(one.id) if has_events else ()
                steps = [step_view(step, output=has_values) for step in found]
                items: list[Any] = []
                for step in steps if has_values else ():
                    after = -1
                    while page := await store.executions.items(one.id, step["node_id"], after=after):
                        after = page[-1].index
                        items += [
                            {"step": item.step_id, "index": item.index, "output": loads(item.output or b"null")}
                            for item in page
                        ]
                outputs = {
                    name: mask.value(loads(body))
                    for name, body in (await store.executions.outputs(one.id)).items()
                    if not name.startswith("$")
                }
                events: list[Any] = []
                while has_events and (page_of_events := await store.executions.events(one.id, after=len(events))):
                    events += [loads(event) for event in page_of_events]
                return {**shown, "steps": steps, "items": items, "outputs": outputs, "events": events}
            case "delivery":
                return delivery_view(await store.triggers.delivery(one.id), vault)
            case "event":
                return sent_event_view(await store.sent.get(one.id), vault)
            case "state":
                workflow_id, _, key = one.id.partition("/")
                entry = await store.state.get(workflow_id, key)
                return state_view(entry, vault) if entry is not None else None
            case "file":
                record = await store.files.get(one.id)
                return {"sha256": record.sha256, "name": record.name, "size": record.size, "type": record.type}
            case _:
                return None

    async def erase(
        self, value: str | None, labels: Labels = (), *, cancel: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Remove all of it for good. Executions that have not ended are cancelled first if `cancel` says so, else
        nothing is done. Cut short, it is done again: what was made from an execution goes before the execution itself,
        so nothing is lost sight of. Raises Conflict (`subject-active`)."""
        found = await self.find(value, labels)
        report = _report(found)
        active = [one.id for one in found if one.kind == "execution" and one.status not in TERMINAL_STATUSES]
        if dry_run:
            return {**report, "erased": 0, "active": active, "traces": [], "dry_run": True}
        erased = 0
        for _ in range(_ROUNDS):
            if active:
                await self._end(active, cancel=cancel)
                found = await self.find(value, labels)
            going = [one for one in found if one.kind != "mention"]
            if not going:
                break
            done = 0
            for some in batched(going, _BATCH):
                done += await self._store.subjects.erase(some)
            erased += done
            found = await self.find(value, labels)
            active = [one.id for one in found if one.kind == "execution" and one.status not in TERMINAL_STATUSES]
            if not done and not active:
                break
        await self._runtime.files.sweep()
        texts = [value.strip()] if value is not None else []
        if texts:
            await self._store.audit.erase_personal(texts)
        if (pending := pending_audit.get()) is not None:
            pending.made = None  # who is forgotten is not told
        traces = list(await self._store.subjects.purge(texts))
        traces += [str(path) for path in await asyncio.to_thread(self._elsewhere, texts) if str(path) not in traces]
        if texts and len(texts[0]) < SHORTEST:
            traces.append(f"not searched for: shorter than {SHORTEST} characters, which are in any file by chance")
        return {**report, "erased": erased, "active": [], "traces": traces, "dry_run": False}

    async def _end(self, active: Sequence[str], *, cancel: bool) -> None:
        if not cancel:
            raise Conflict(
                f"{len(active)} executions about this person have not ended, such as {active[0]}; nothing was erased.",
                code="subject-active",
                hint="Wait for their end, or cancel them first: `cancel: true`, `aicflow subjects erase --cancel`.",
            )
        for execution_id in active:
            await self._runtime.executions.cancel(execution_id)
        waits = [self._runtime.executions.wait(execution_id, _END_SECONDS) for execution_id in active]
        ended = await asyncio.gather(*waits)
        late = [id for id, execution in zip(active, ended, strict=True) if execution is None]
        if late:
            raise Conflict(
                f"{len(late)} executions about this person were cancelled but have not ended yet, such as {late[0]}.",
                code="subject-active",
                hint="Erase again when they have ended.",
            )

    def _elsewhere(self, texts: Sequence[str]) -> list[Path]:
        """Files in the data folder, and in the folders of backups, that still hold one of the texts. Blocks."""
        settings = self._runtime.settings
        folders = (settings.data_dir, *map(Path, settings.backup_dirs))
        paths = {path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}
        own = {settings.data_dir / f"aicflow.db{end}" for end in ("", "-wal", "-shm")}
        return files_with(sorted(paths - own), texts)

    async def record(self) -> dict[str, Any]:
        """The record of processing: for each workflow whom it is about, what comes in, where it goes, how long it is
        kept."""
        settings = self._runtime.settings
        workflows = []
        for record in await self._store.workflows.active():
            document = record.document
            schema = document.get("input_schema")
            fields = sorted(schema.get("properties", {})) if isinstance(schema, dict) else []
            types = sorted({str(node.get("type")) for node in _nodes(document.get("nodes", ())) if node.get("type")})
            workflows.append(
                {
                    "workflow_id": record.id,
                    "name": record.name,
                    "description": record.description,
                    "labels": dict(record.labels),
                    "subject": document.get("settings", {}).get("subject"),
                    "input_fields": fields,
                    "sources": sorted({str(one.get("type")) for one in document.get("triggers", ())}),
                    "node_types": types,
                    "passes_on": [name for name in types if name in _SENDING],
                }
            )
        retention = {
            "executions": settings.retention_age,
            "executions_count": settings.retention_count or "all",
            "execution_events": settings.event_log_age,
            "execution_payloads": settings.payload_age,
            "deliveries": settings.delivery_age,
            "events": settings.event_age,
            "idempotency_keys": settings.idempotency_age,
            "fires": settings.fire_age,
            "audit": settings.audit_age,
        }
        return {"workflows": workflows, "retention": retention}


def _nodes(nodes: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for node in nodes:
        found.append(node)
        for body in ("map", "repeat", "group"):
            if isinstance(node.get(body), dict):
                found += _nodes(node[body].get("nodes", ()))
    return found


def _report(found: Sequence[Holding]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in found:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    return {"counts": counts, "mentions": [one.id for one in found if one.kind == "mention"]}


def found_view(found: Sequence[Holding]) -> dict[str, Any]:
    """What was found, as the API returns it."""
    shown = [{"kind": one.kind, "id": one.id, "status": one.status} for one in found if one.kind != "mention"]
    return {**_report(found), "holdings": shown}
