"""Secrets that are kept in the store: written, never read back; sealed; rotated; and who uses them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aicflow_language.template import compile_template

from aicflow.engine.envelope import Envelope
from aicflow.engine.masking import is_masked
from aicflow.engine.scoped import Scoped
from aicflow.engine.secrets import Secrets
from aicflow.host.secret_keys import SecretKeys
from aicflow.host.shower import shower
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError, Conflict, NotFound
from aicflow.kernel.execution import ACTIVE_STATUSES
from aicflow.kernel.ports.access import SecretRecord
from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import dumps, pointer
from aicflow.store.checks import check_secret_version

_log = logging.getLogger("aicflow.host")
_AT_ONCE: Final = 100
_NOTE_USE_EVERY: Final = 30.0
_TRIES: Final = 5
_PAGES: Final = 5
"""Pages of executions under way that a check looks at."""
_MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Use:
    """A place in a version of a workflow that names a secret."""

    workflow_id: str
    workflow: str
    version: int
    node_id: str | None
    trigger_id: str | None
    pointer: str


_secret_view: Final = shower(SecretRecord)
_use_view: Final = shower(Use)


class StoredSecrets:
    """The source of secrets that are kept in the store."""

    name = "store"

    def __init__(self, store: Store, keys: SecretKeys) -> None:
        self._store = store
        self._keys = keys
        self.envelope = Envelope([])

    async def open(self) -> None:
        """Read the keys. Raises AICFlowError when what is stored was sealed under another one."""
        self.envelope = self._keys.read()
        known = {key.name for key in self.envelope.keys}
        wrapped = Counter(record.kek_id for record in await self._store.secrets.list())
        for kek_id, count in sorted(wrapped.items()):
            if kek_id not in known:
                here = ", ".join(sorted(known)) or "no key"
                raise AICFlowError(
                    f"{count} stored secret{'s are' if count > 1 else ' is'} sealed under the key {kek_id}, which this "
                    f"server does not have (it has {here}, from {self._keys.place()}).",
                    hint="Bring that key back: as a further line of the key file, or from a backup of the data folder. "
                    "AICFLOW_SECRETS_KEY_FILE, AICFLOW_SECRETS_KEY and AICFLOW_SECRETS_KEY_WRAPPER say where keys are.",
                )

    async def get(self, secret: str) -> str | None:
        """The value, for whom it is."""
        record = await self._store.secrets.get(secret)
        return None if record is None else _scoped(await self.envelope.open(record), record)

    async def names(self) -> Sequence[str]:
        """All names."""
        return [_scoped(record.name, record) for record in await self._store.secrets.list()]

    async def rotate(self) -> int:
        """Wrap the data key of every secret with the current key, a hundred in a transaction; returns how many. What a
        crash leaves is done by the next call."""
        done = 0
        current = self.envelope.current
        while current is not None:
            old = await self._store.secrets.list(not_under=current.name, limit=_AT_ONCE)
            if not old:
                break
            await self._store.secrets.rewrap([await self.envelope.rewrap(record) for record in old])
            done += len(old)
        return done


def _scoped(text: str, record: SecretRecord) -> str:
    return Scoped(text, record.workflows, record.labels) if record.workflows or record.labels else text


class SecretService:
    """What the API does with secrets."""

    def __init__(self, store: Store, stored: StoredSecrets, keys: SecretKeys, secrets: Secrets, clock: Clock) -> None:
        self._store = store
        self._stored = stored
        self._keys = keys
        self._secrets = secrets
        self._clock = clock
        self._lock = asyncio.Lock()
        self._uses: dict[str, tuple[int, dict[str, list[Use]]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Go on with a rotation that was interrupted, and note when secrets are used."""
        self._tasks = [asyncio.create_task(self._resume()), asyncio.create_task(self._note_uses())]

    async def stop(self) -> None:
        """End what `start` began."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._note()

    async def _resume(self) -> None:
        try:
            if done := await self._stored.rotate():
                _log.info("The keys of %d stored secrets are under %s now", done, self._keys.place())
        except AICFlowError as error:
            _log.warning("The keys of stored secrets could not be rotated: %s", error.message)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_USE_EVERY)
            await self._note()

    async def _note(self) -> None:
        used = sorted(self._secrets.used)
        self._secrets.used.clear()
        if used:
            try:
                await self._store.secrets.touch(used, now=self._clock.now())
            except AICFlowError:
                self._secrets.used.update(used)

    async def get(self, name: str) -> SecretRecord:
        """Raises NotFound."""
        record = await self._store.secrets.get(name)
        if record is None:
            raise NotFound("secret", name)
        return record

    async def put(
        self,
        name: str,
        value: str | None,
        *,
        changes: Mapping[str, Any],
        expected: int | None = None,
    ) -> tuple[SecretRecord, bool]:
        """Keep a value, or the kept one with other particulars; returns whether the secret is new. Raises NotFound when
        there is no value, Conflict (`revision`) when another version than the expected one is there; 0 is none."""
        if value is not None and not is_masked(value):
            raise ValueError("it is too short to be masked where it is shown; a secret needs at least 4 characters")
        for _ in range(_TRIES):
            before = await self._store.secrets.get(name)
            version = before.version if before is not None else 0
            if expected is not None:
                check_secret_version(name, version, expected)
            if before is None and value is None:
                raise NotFound("secret", name, hint="A new secret needs a value.")
            now = round(self._clock.now(), 6)
            record = before or SecretRecord(name, 0, None, (), {}, now, now, None, "", b"", b"", b"")
            if value is None and before is not None:
                value = await self._stored.envelope.open(before)
            record = replace(record, version=version + 1, updated_at=now, **changes)
            if self._stored.envelope.current is None:
                async with self._lock:
                    if self._stored.envelope.current is None:
                        self._stored.envelope = await asyncio.to_thread(self._keys.make)
            assert value is not None
            self._secrets.mask.add(value)  # before anything of it is written
            record = await self._stored.envelope.seal(record, value)
            try:
                await self._store.secrets.put(record)
            except Conflict:
                if expected is not None:
                    raise
                continue
            await self._secrets.renew(name)
            return record, before is None
        raise Conflict(
            f"The secret {name!r} was changed meanwhile.", code="revision", hint="Look at it, and try again."
        )

    async def delete(self, name: str, *, expected: int | None = None, force: bool = False) -> None:
        """Forget a secret. Raises NotFound, Conflict (`revision`; `secret-used` unless `force`)."""
        record = await self.get(name)
        used = [] if force else (await self.uses()).get(name, [])
        if used:
            first = ", ".join(dict.fromkeys(f"{use.workflow!r} ({use.workflow_id})" for use in used[:5]))
            raise Conflict(
                f"The secret {name!r} is used by {first}.",
                code="secret-used",
                hint="Change these workflows first, or delete it with `force=true`; their steps fail then.",
            )
        await self._store.secrets.delete(name, version=record.version if expected is None else expected)
        await self._secrets.renew(name)

    async def rotate(self) -> dict[str, Any]:
        """Take up the key as it is now, and wrap the key of every secret with it. A key in the data folder is made anew
        first, unless an earlier rotation has not come to its end. Raises AICFlowError."""
        async with self._lock:
            self._stored.envelope = self._keys.read()
            key = self._stored.envelope.current
            if self._keys.is_own and (key is None or key.name.startswith("local-")):
                name = key.name if key is not None else None
                if key is None or not await self._store.secrets.list(not_under=name, limit=1):
                    self._stored.envelope = await asyncio.to_thread(self._keys.make)
            done = await self._stored.rotate()
            current = self._stored.envelope.current
            total = len(await self._store.secrets.list())
            return {"key": current.name if current else None, "rotated": done, "secrets": total}

    async def uses(self) -> Mapping[str, list[Use]]:
        """Where the current versions of all workflows name secrets, by secret."""
        found: dict[str, list[Use]] = {}
        seen: set[str] = set()
        async for workflow_id, revision in self._revisions():
            seen.add(workflow_id)
            known = self._uses.get(workflow_id)
            if known is None or known[0] != revision:
                try:
                    record = await self._store.workflows.get(workflow_id)
                except NotFound:
                    continue
                known = self._uses[workflow_id] = (
                    record.revision,
                    _uses_in(record.id, record.name, record.version, record.document),
                )
            for name, uses in known[1].items():
                found.setdefault(name, []).extend(uses)
        self._uses = {workflow_id: known for workflow_id, known in self._uses.items() if workflow_id in seen}
        return found

    async def _revisions(self) -> AsyncIterator[tuple[str, int]]:
        cursor: str | None = None
        while True:
            page = await self._store.workflows.list(limit=500, cursor=cursor)
            for record in page.items:
                yield record.id, record.revision
            cursor = page.next_cursor
            if cursor is None:
                return

    async def check(self) -> dict[str, Any]:
        """What is wrong with secrets. A name counts as resolved while a source cannot list its own."""
        envelope, records = self._stored.envelope, await self._store.secrets.list()
        current, known = envelope.current, {key.name for key in envelope.keys}
        unresolved: list[dict[str, Any]] = []
        names: dict[str, frozenset[str] | None] = {}
        under_way, uses = await self._under_way(), dict(await self.uses())
        for name, older in (await self._uses_of_older(under_way)).items():
            uses[name] = [*uses.get(name, ()), *older]
        for name, places in sorted(uses.items()):
            for use in places:
                if use.workflow_id not in names:
                    names[use.workflow_id] = await self._names_for(use.workflow_id)
                there = names[use.workflow_id]
                if there is not None and name not in there:
                    executions = under_way.get((use.workflow_id, use.version), [])
                    unresolved.append({"name": name, **_use_view(use), "executions": executions})
        return {
            "key": current.name if current else None,
            "secrets": len(records),
            "waiting": sum(current is None or record.kek_id != current.name for record in records),
            "missing_keys": sorted({record.kek_id for record in records} - known),
            "unresolved": unresolved,
        }

    async def _names_for(self, workflow_id: str) -> frozenset[str] | None:
        """The secrets that a workflow may use; of a deleted one, those without labels."""
        try:
            labels = (await self._store.workflows.get(workflow_id)).labels
        except NotFound:
            labels = {}
        return await self._secrets.of(workflow_id, labels).names()

    async def _under_way(self) -> dict[tuple[str, int], list[str]]:
        """The newest executions that have not ended, by workflow and version."""
        found: dict[tuple[str, int], list[str]] = {}
        cursor: str | None = None
        for _ in range(_PAGES):
            where = ExecutionFilter(statuses=ACTIVE_STATUSES)
            page = await self._store.executions.list(where, limit=200, cursor=cursor)
            for one in page.items:
                ids = found.setdefault((one.workflow_id, one.version), [])
                if len(ids) < _MOST_NAMED:
                    ids.append(one.id)
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _uses_of_older(self, under_way: Mapping[tuple[str, int], object]) -> dict[str, list[Use]]:
        """Where versions that are not the current ones, and that executions still run, name secrets."""
        found: dict[str, list[Use]] = {}
        for workflow_id, version in under_way:
            try:
                if (await self._store.workflows.get(workflow_id)).version == version:
                    continue
            except NotFound:
                pass  # it was deleted; its versions stay as long as its executions
            try:
                document = (await self._store.workflows.version(workflow_id, version)).document
            except NotFound:
                continue
            name = str(document.get("name") or workflow_id)
            for secret, uses in _uses_in(workflow_id, name, version, document).items():
                found.setdefault(secret, []).extend(use for use in uses if use.trigger_id is None)
        return found

    async def all(self) -> list[dict[str, Any]]:
        """Every secret that a source lists, by name: from the store with its particulars, from the others its name."""
        uses = await self.uses()
        records = {record.name: record for record in await self._store.secrets.list()}
        rows: list[dict[str, Any]] = []
        for source in self._secrets.sources:
            if source is self._stored:
                rows += [self.row(record, uses.get(record.name, [])) for record in records.values()]
                continue
            for name in await self._secrets.listed(source) or ():
                blank = SecretRecord(str(name), 0, None, (), {}, 0, 0, None, "", b"", b"", b"")
                rows.append(self.row(blank, uses.get(name, []), source.name))
        return sorted(rows, key=lambda row: row["name"])

    def row(self, record: SecretRecord, uses: Sequence[Use], source: str = "store") -> dict[str, Any]:
        """A secret as the API shows it."""
        out = _secret_view(record)
        if source != "store":
            out |= dict.fromkeys(("version", "created_at", "updated_at"))
        return {**out, "source": source, "used_by": [_use_view(use) for use in uses]}


def _uses_in(workflow_id: str, name: str, version: int, document: Mapping[str, Any]) -> dict[str, list[Use]]:
    """Where a document names secrets."""
    found: dict[str, list[Use]] = {}
    if b"secrets" not in dumps(document):
        return found
    for kind in ("triggers", "nodes"):
        for index, entry in enumerate(document.get(kind, ())):
            for place in compile_template(entry).expressions:
                for reference in place.expression.references if place.expression is not None else ():
                    if reference.root != "secrets" or not reference.path:
                        continue
                    use = Use(
                        workflow_id,
                        name,
                        version,
                        _innermost(entry, place.path) if kind == "nodes" else None,
                        entry["id"] if kind == "triggers" else None,
                        pointer(kind, index, *place.path),
                    )
                    found.setdefault(str(reference.path[0]), []).append(use)
    return found


def _innermost(entry: Any, path: Sequence[str | int]) -> str:
    """The id of the node that a path leads to, which may be inside of a body."""
    found, value = entry["id"], entry
    for at, step in enumerate(path):
        value = value[step]
        if isinstance(step, int) and at and path[at - 1] == "nodes" and isinstance(value, dict):
            found = value.get("id", found)
    return str(found)
