"""Workers on PostgreSQL, and what executions require of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from aicflow.ports import LIVE, NotFound, Requirement, WorkerRecord, dumps, loads, micros, seconds

from aicflow_postgres.database import NOW, Connection, Part, fetch, send, writes

_ABOUT: Final = ("name", "host", "pid", "version", "max_running")


class PostgresWorkers(Part):
    """The rows by which workers and servers know each other."""

    @writes
    async def beat(self, connection: Connection, worker: WorkerRecord) -> Sequence[Requirement]:
        """Say that it is alive, and so are the requirements that it meets."""
        queues = list(worker.queues) if worker.queues is not None else None
        about = {name: getattr(worker, name) for name in _ABOUT} | {"queues": queues, "types": sorted(worker.types)}
        await send(connection, _BEAT, worker.id, worker.running, dumps(about))
        await send(connection, _FORGET)
        found = [
            Requirement(id, queue, frozenset(loads(types)), seconds(missing))
            for id, queue, types, missing in await fetch(connection, _REQUIREMENTS)
        ]
        if able := [one.id for one in found if one.types <= worker.types]:
            await send(connection, _HAD, able)
        return [replace(one, missing=0.0) if one.types <= worker.types else one for one in found]

    async def leave(self, worker_id: str) -> None:
        await self.write("DELETE FROM workers WHERE id = %b", worker_id)

    async def live(self) -> Sequence[WorkerRecord]:
        return [
            _worker(id, running, loads(about), started_at, seen_at)
            for id, running, about, started_at, seen_at in await self.rows(_LIVE, micros(LIVE))
        ]

    @writes
    async def number(self, connection: Connection, queue: str, types: Collection[str]) -> int:
        """The number, made when there is none."""
        encoded = dumps(sorted(types))
        hash = sha256(queue.encode() + b" " + encoded).digest()
        found = await fetch(connection, "SELECT id FROM requirements WHERE hash = %b", hash)
        if not found:
            # one that another host is just adding is waited for
            await send(connection, _ADD, hash, queue, encoded)
            found = await fetch(connection, "SELECT id FROM requirements WHERE hash = %b", hash)
        return int(found[0][0])

    async def queues(self) -> Mapping[int, str]:
        return dict(await self.rows("SELECT id, queue FROM requirements"))

    async def requirement(self, execution_id: str) -> tuple[Requirement | None, str | None]:
        rows = await self.rows(_REQUIREMENT, execution_id)
        if not rows:
            raise NotFound("execution", execution_id)
        worker, id, queue, types, missing = rows[0]
        return Requirement(id, queue, frozenset(loads(types)), seconds(missing)) if id is not None else None, worker


def _worker(id: str, running: int, about: dict[str, Any], started_at: int, seen_at: int) -> WorkerRecord:
    return WorkerRecord(
        id,
        queues=tuple(about["queues"]) if about["queues"] is not None else None,
        types=frozenset(about["types"]),
        running=running,
        started_at=seconds(started_at),
        seen_at=seconds(seen_at),
        **{name: about[name] for name in _ABOUT},
    )


_BEAT = f"""
INSERT INTO workers VALUES (%b, {NOW}, {NOW}, %b, %b)
  ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, running = excluded.running, about = excluded.about
"""  # noqa: S608
# in one order, so that two workers never wait for each other; what another has just said need not be said again
_HAD = f"""
WITH l AS (SELECT id FROM requirements WHERE id = ANY(%b::int[]) AND had_at < {NOW} - 2000000 ORDER BY id
  FOR UPDATE SKIP LOCKED)
UPDATE requirements AS r SET had_at = {NOW} FROM l WHERE r.id = l.id
"""  # noqa: S608
_FORGET = f"DELETE FROM workers WHERE seen_at < {NOW} - 86400000000"  # noqa: S608
_REQUIREMENTS = f"SELECT id, queue, types, greatest({NOW} - had_at, 0) FROM requirements ORDER BY id"  # noqa: S608
_LIVE = f"""
SELECT id, running, about, started_at, seen_at FROM workers WHERE seen_at > {NOW} - %b::bigint ORDER BY started_at, id
"""  # noqa: S608
_ADD = f"""
INSERT INTO requirements (hash, queue, types, had_at) VALUES (%b, %b, %b, {NOW}) ON CONFLICT DO NOTHING
"""  # noqa: S608
_REQUIREMENT = f"""
SELECT CASE WHEN e.status = 'running' THEN e.worker END, r.id, r.queue, r.types, greatest({NOW} - r.had_at, 0)
  FROM executions AS e LEFT JOIN requirements AS r ON r.id = e.requires WHERE e.id = %b
"""  # noqa: S608
