"""Who did what: the entries of requests, of triggers and of the host itself, and proving that none was changed.

Every request passes `Gate`, which asks `begin` before and `end` after: that is the one place where an entry can come
from, so a new route cannot forget it. A change that is written to the store takes its entry along in the same
transaction (`pending_audit`); what is left is written once a second, with equal ones merged into one."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow.host.audit_chain import CHECKPOINT, DROP, AuditKey, action_in, verify_chain
from aicflow.host.audit_names import DRY_RUN, NOT_YOURS, action_of, address_of, is_reading, resource, target_of
from aicflow.kernel.clock import Clock, iso
from aicflow.kernel.errors import StoreUnavailable
from aicflow.kernel.ports.audit import (
    AuditEntry,
    AuditFilter,
    AuditRow,
    AuditStore,
    PendingAudit,
    pending_audit,
)
from aicflow.kernel.values import loads
from aicflow.problems import REQUEST_ID

SYSTEM: Final = "system"
REFUSED: Final = frozenset({401, 403, 429})
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = "token:"  # noqa: S105 - what the actor of a token begins with
_START: Final = "/api/v1/executions"
_SECONDS: Final = 1.0
_CHECKPOINT_SECONDS: Final = 3600.0
_CHECKPOINT_ROWS: Final = 10_000
_MANY: Final = 1000
"""Most ids that one entry names."""
_MOST_GROUPS: Final = 1000
"""Most different refusals in a second that are told apart by address."""
_log = logging.getLogger("aicflow.audit")


@dataclass(slots=True)
class _Merged:
    """Equal things of one second."""

    at: float
    request_id: str | None
    status: int | None
    count: int = 0
    many: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _OfRequest(PendingAudit):
    """What a request does. `public`: no key of the API, so that a trigger or a form speaks for it."""

    public: bool = False
    address: str = ""


@dataclass(slots=True)
class Begun:
    """A request under way that may change something."""

    pending: _OfRequest
    token: Token[PendingAudit | None] | None


class Auditor:
    """Makes the entries of one host and keeps its chain. `starts`
    says how executions that begin are told: `each` in its own transaction, `merged` once a second with all their ids,
    or `off`."""

    def __init__(
        self, store: AuditStore, key: AuditKey, clock: Clock, *, starts: str = "merged", keep: float | None = None
    ):
        self._store = store
        self._key = key
        self._clock = clock
        self._starts = starts
        self._keep = keep
        self._merged: dict[tuple[str, str, str, str, str], _Merged] = {}
        self._fresh = self._added = True
        self._checked_at = clock.now()
        self._task: asyncio.Task[None] | None = None

    # what requests do

    def begin(self, scope: MutableMapping[str, Any], actor: str) -> Begun | None:
        """Before a request by `actor`; the store takes its entry with the first thing that it changes."""
        if scope["type"] != "http" or scope["method"] in _READS:
            return None
        pending = _OfRequest(
            lambda pending: self._of_request(scope, actor, pending.made),
            public=actor == "anonymous",
            address=address_of(scope),
            actor=None if actor == "anonymous" else self.actor_in_chain(actor),
        )
        if self._starts != "each" and scope["path"] == _START:
            return Begun(pending, None)
        return Begun(pending, pending_audit.set(pending))

    def end(
        self,
        scope: MutableMapping[str, Any],
        begun: Begun | None,
        actor: str,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """After a request: note what no transaction has told. A request that only failed has changed nothing."""
        written = False
        if begun is not None:
            written, begun.pending.written = begun.pending.written, True  # what runs on in its context is not of it
            if begun.token is not None:
                pending_audit.reset(begun.token)
        refused = status in REFUSED or (status == 404 and scope.get(NOT_YOURS, False))
        if refused:
            action, target = action_of(scope), target_of(scope) if actor != "anonymous" else resource(scope["path"])
            self.note(actor, action, target, "refused", address=address_of(scope), scope=scope, status=status)
        elif begun is None or written or begun.pending.public or is_reading(scope):
            return
        elif status >= 500:
            self.note(
                actor,
                action_of(scope),
                target_of(scope),
                "failed",
                address=address_of(scope),
                scope=scope,
                status=status,
            )
        elif status < 400:
            starts = scope["path"] == _START
            if starts and self._starts == "off":
                return
            found = dict(headers) if starts or headers else {}
            made = found.get(b"location", b"").decode().rpartition("/")[2] or begun.pending.made
            outcome = "repeated" if b"idempotent-replayed" in found else "done"
            outcome = "dry-run" if scope.get(DRY_RUN) else outcome
            self.note(
                actor, action_of(scope), target_of(scope), outcome, address=address_of(scope), scope=scope, made=made
            )

    def note(
        self,
        actor: str,
        action: str,
        target: str,
        outcome: str = "done",
        *,
        address: str = "",
        made: str | None = None,
        scope: Mapping[str, Any] | None = None,
        status: int | None = None,
        count: int = 1,
    ) -> None:
        """Tell something with the next second's entries, merged with what equals it."""
        if len(self._merged) >= _MOST_GROUPS and (actor, action, target, outcome, address) not in self._merged:
            address = target = "others"
        name = (actor, action, target, outcome, address)
        merged = self._merged.get(name)
        if merged is None:
            request_id = scope.get(REQUEST_ID) if scope is not None else None
            merged = self._merged[name] = _Merged(self._clock.now(), request_id, status)
        merged.count += count
        if made is not None:
            merged.many.append(made)
            if len(merged.many) >= _MANY:
                self._merged[*name[:4], f"{address}\0{merged.many[0]}"] = self._merged.pop(name)

    @contextmanager
    def of_trigger(self, binding_id: str) -> Iterator[Callable[[str], None]]:
        """While a trigger fires: what it yields is told which execution that started. It is the trigger's doing, unless
        a caller of the API fires it, whose own entry goes with the execution."""
        asked = pending_audit.get()
        if isinstance(asked, _OfRequest) and not asked.public and not asked.written:
            yield lambda execution_id: None
            return
        fields = {"actor": f"trigger:{binding_id}", "action": "start_execution", "target": "executions"}
        address = asked.address if isinstance(asked, _OfRequest) else ""
        own = PendingAudit(
            lambda one: self.entry(
                {**fields, "at": iso(self._clock.now()), "outcome": "done", "made": one.made}, address=address
            )
        )

        def told(execution_id: str) -> None:
            if self._starts == "merged":
                self.note(fields["actor"], fields["action"], fields["target"], address=address, made=execution_id)

        token = pending_audit.set(own if self._starts == "each" else None)
        try:
            yield told
        finally:
            pending_audit.reset(token)

    # entries

    def _of_request(self, scope: Mapping[str, Any], actor: str, made: str | None) -> AuditEntry:
        return self.entry(
            {
                "at": iso(self._clock.now()),
                "actor": actor,
                "action": action_of(scope),
                "target": target_of(scope),
                "outcome": "done",
                "made": made,
                "request_id": scope.get(REQUEST_ID),
            },
            address=address_of(scope),
        )

    def entry(self, fields: Mapping[str, Any], *, address: str = "", user: str = "") -> AuditEntry:
        """An entry of these fields. What says who or where a person is is in the body as a keyed hash, and plain beside
        it; so are the keys of state and the subjects of tokens, which may be names of people."""
        self._fresh = self._added = True
        body = {name: value for name, value in fields.items() if value is not None}
        personal = {"address": address, "user": user}
        if body["target"].partition("/")[0] == "workflows" and "/state/" in body["target"]:
            head, _, key = body["target"].partition("/state/")
            personal["target"] = body["target"]
            body["target"] = f"{head}/state/{self._key.hidden(key)}"
        if body["actor"].startswith(_TOKEN):
            personal["actor"], body["actor"] = body["actor"], self.actor_in_chain(body["actor"])
        personal = {name: value for name, value in personal.items() if value}
        body |= {name: self._key.hidden(value) for name, value in personal.items() if name in ("address", "user")}
        return AuditEntry(_canonical(body), _canonical(personal) if personal else None)

    def actor_in_chain(self, actor: str) -> str:
        """An actor as bodies name it."""
        return _TOKEN + self._key.hidden(actor) if actor.startswith(_TOKEN) else actor

    # the chain

    async def flush(self) -> None:
        """Write what was noted. Raises StoreUnavailable; then it is kept for the next time."""
        if not self._merged:
            return
        merged, self._merged = self._merged, {}
        entries = []
        for (actor, action, target, outcome, address), one in merged.items():
            fields = {
                "at": iso(one.at),
                "actor": actor,
                "action": action,
                "target": target,
                "outcome": outcome,
                "status": one.status,
                "request_id": one.request_id,
                "count": one.count if one.count > 1 else None,
                "made": one.many[0] if len(one.many) == 1 else None,
                "many": one.many if len(one.many) > 1 else None,
            }
            entries.append(self.entry(fields, address=address.partition("\0")[0]))
        try:
            await self._store.add(entries)
        except StoreUnavailable:
            for name, one in merged.items():
                self._merged.setdefault(name, one)
            raise

    async def checkpoint(self) -> None:
        """Sign the end of the chain, in the chain and in the log, unless it is signed already."""
        last = await self._store.last()
        self._fresh = False
        if last is None or action_in(last) == CHECKPOINT:
            return
        await self._store.add([self._signed(CHECKPOINT, last.seq, last.hash)])
        self._fresh = False
        self._checked_at = self._clock.now()
        _log.info(
            "Audit checkpoint: %d entries, hash %s, %s", last.seq, last.hash.hex(), self._key.sign(last.seq, last.hash)
        )

    def _signed(self, action: str, through: int, hash: bytes) -> AuditEntry:
        head, mac = hash.hex(), self._key.sign(through, hash)
        fields = {"at": iso(self._clock.now()), "actor": SYSTEM, "action": action, "target": "audit", "outcome": "done"}
        return self.entry({**fields, "through": through, "head": head, "mac": mac})

    async def prune(self) -> int:
        """Drop what is older than the retention of the audit, up to a checkpoint; returns how many entries."""
        if self._keep is None:
            return 0
        where = AuditFilter(action=CHECKPOINT, until=iso(self._clock.now() - self._keep))
        found = (await self._store.list(where, limit=1)).items
        if not found:
            return 0
        body = loads(found[0].body)
        through: int = body["through"]
        if (await self._store.read(limit=1))[0].seq > through:
            return 0
        return await self._store.drop(through, self._signed(DROP, through, bytes.fromhex(body["head"])))

    def start(self) -> None:
        """Begin to write once a second."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-audit")

    async def stop(self) -> None:
        """Write what is left, and sign the end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            await self.flush()
            await self.checkpoint()
        except StoreUnavailable as error:
            _log.warning("The last audit entries could not be written: %s", error)

    async def _run(self) -> None:
        signed = 0
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                await self.flush()
                due = self._clock.now() - self._checked_at >= _CHECKPOINT_SECONDS
                if not self._fresh or not (self._added or due):
                    continue
                self._added = False
                last = await self._store.last()
                if due or (last is not None and last.seq - signed >= _CHECKPOINT_ROWS):
                    await self.checkpoint()
                    signed = last.seq if last is not None else 0
                elif signed == 0 and last is not None:
                    signed = last.seq  # the rows before this start were signed when it stopped
            except StoreUnavailable as error:
                _log.warning("Audit entries wait for the store: %s", error)
            except Exception:
                _log.exception("Audit entries could not be written; it is tried again")

    async def verify(self, *, expect: str | None = None) -> dict[str, Any]:
        """See `verify_chain`."""
        return await verify_chain(self._store, self._key, expect=expect)


def shown(row: AuditRow) -> dict[str, Any]:
    """An entry as the API returns it: with what stands beside it where it was not erased."""
    return {"seq": row.seq, "hash": row.hash.hex(), **loads(row.body), **loads(row.personal or "{}")}


@asynccontextmanager
async def by_command(store: AuditStore, secret: bytes, clock: Clock, action: str) -> AsyncIterator[Auditor]:
    """For a command that writes to the store itself: what it changes first takes an entry along, by the user of this
    machine who called it."""
    auditor = Auditor(store, AuditKey(secret), clock)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    fields = {"actor": "cli", "action": action, "target": "store", "outcome": "done"}
    pending = PendingAudit(lambda one: auditor.entry({**fields, "at": iso(clock.now()), "made": one.made}, user=user))
    token = pending_audit.set(pending)
    try:
        yield auditor
    finally:
        pending_audit.reset(token)


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
