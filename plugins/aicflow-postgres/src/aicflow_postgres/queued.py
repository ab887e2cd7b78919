"""How many executions of each starter (an API key, a token) are queued and were never claimed, in all processes.

Whoever adds to those of a starter holds its lock until the commit. Claims make them fewer at any time, without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aicflow.ports import ConcurrencyLimiter, loads

from aicflow_postgres.database import Connection, fetch
from aicflow_postgres.operations import Create


class Queued:
    """For the creates of one transaction."""

    def __init__(self, lines: Mapping[str, ConcurrencyLimiter]) -> None:
        self._lines = lines
        self._starters: dict[str, str] = {}
        self._queued: dict[str, int] = {}

    async def read(self, connection: Connection, creates: Sequence[Create]) -> None:
        """Lock and count those of whom one of these might have to be queued."""
        most: dict[str, int] = {}
        for op in creates:
            limit = op.new.max_queued
            if limit is None or (op.worker is not None and not op.new.limits and _is_due(op)):
                continue
            if (starter := loads(op.new.trigger).get("started_by")) is not None:
                self._starters[op.new.id] = starter
                most[starter] = max(limit, most.get(starter, 0))
        if most:
            await fetch(connection, _LOCK, sorted(most))
            found = await fetch(connection, _COUNT, list(most), list(most.values()))
            self._queued = {starter: int(count) for starter, count in found}

    def take(self, op: Create) -> bool:
        """Whether it may be created; asked before it takes its slots."""
        starter, limit = self._starters.get(op.new.id), op.new.max_queued
        if starter is None or limit is None:
            return True
        if op.worker is not None and _is_due(op):
            limits = op.new.limits
            if not limits or self._lines[op.new.workflow_id].has_room(limits):
                return True
        if self._queued[starter] >= limit:
            return False
        self._queued[starter] += 1
        return True


def _is_due(op: Create) -> bool:
    return op.new.available_at <= op.new.created_at


# in the order of the locks, so that two processes never wait for each other
_LOCK = """
SELECT pg_advisory_xact_lock(lock) FROM (
  SELECT DISTINCT hashtextextended('aicflow queued ' || starter, 0) AS lock FROM unnest(%b::text[]) AS starter
    ORDER BY lock) AS locks
"""
_COUNT = """
SELECT starter, (SELECT count(*) FROM (
    SELECT FROM executions WHERE started_by = starter AND status = 'queued' AND epoch = 0 LIMIT most) AS q)
  FROM unnest(%b::text[], %b::bigint[]) AS a(starter, most)
"""
