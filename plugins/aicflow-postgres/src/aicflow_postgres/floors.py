"""Where each lane of the queue begins: what lies below has been taken already.

While somebody holds an old snapshot (`pg_dump`, a report, a forgotten transaction), PostgreSQL keeps the entries of
what has left the queue, and each claim would walk over all of them. So each process remembers how far it need not
look. What enters a lane has a higher number or a later instant than what was there, as far as clocks agree; for
anything that comes in below, a look goes without floors now and then. The lane of limits has no floor: what is promoted
from a line has an old number and an old instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from aicflow_postgres.database import AT_ONCE_BEFORE, STEADY_NOW, Database

READY: Final = "status = 'queued' AND due_at >= 0 AND priority = 0 AND available_at <= created_at AND limits IS NULL"
"""What most executions are in the queue; as the index says it."""
SPECIAL: Final = "status = 'queued' AND due_at >= 0 AND limits IS NULL AND (priority <> 0 OR available_at > created_at)"
"""What has a priority or a delay; as the index says it."""
_EVERY: Final = 1.0
_WHOLE_EVERY: Final = 10.0
_TAKEN: Final = 500
"""So many claims make it worth to look again earlier."""
_LATE: Final = 2_000_000
"""Microseconds by which an instant that is written now may lie in the past, for clocks differ."""
_MARGIN: Final = 1_000
"""Numbers that a transaction may have taken and not committed yet."""
_NOTHING: Final = 2**63 - 1


@dataclass(frozen=True)
class Lanes:
    """The floors: `ready` is a number, the others are values of `due_at`."""

    at_once: int
    waits: int
    leases: int
    ready: int
    special: int


_NONE: Final = Lanes(-(2**63), 0, 0, 0, 0)


class Floors:
    """What this process knows of them. `taken`: how many executions it has claimed since it looked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.known = _NONE
        self.taken = 0
        self._seen_at = self._whole_at = self._leases_at = -_WHOLE_EVERY

    async def look(self, *, clock: bool) -> Lanes:
        """The floors for one claim. `clock`: the database's own counts; otherwise there are none. Leases that have run
        out are looked for once a second, since of those that ended in time many entries may remain."""
        now = monotonic()
        if not clock or now - self._whole_at >= _WHOLE_EVERY:
            return self.last(clock=clock)
        if now - self._seen_at >= _EVERY or self.taken >= _TAKEN:
            self._seen_at, self.taken = now, 0
            known = self.known
            lanes = (known.at_once, known.waits, known.leases, known.ready, known.special)
            self.known = Lanes(*(await self._database.rows(_LOOK, *lanes))[0])
        if now - self._leases_at < _EVERY:
            return replace(self.known, leases=_NOTHING)
        self._leases_at = now
        return self.known

    def last(self, *, clock: bool) -> Lanes:
        """The floors as last seen, for one that asks when something is due."""
        now = monotonic()
        if not clock:
            return _NONE
        if now - self._whole_at >= _WHOLE_EVERY:
            self._whole_at = now
            return _NONE
        return self.known


def _instant(what: str, until: str) -> str:
    """The lowest `due_at` of what there is, but none after `until`."""
    found = f"SELECT min(due_at) FROM executions WHERE {what} AND due_at >= %b::bigint AND due_at <= {until}"  # noqa: S608
    return f"coalesce(({found}), {until})"


_UNTIL: Final = f"{STEADY_NOW} - {_LATE}"
_LOOK: Final = f"""
SELECT {_instant("due_at < 0", f"{_UNTIL} - {AT_ONCE_BEFORE}")},
  {_instant("status = 'waiting' AND due_at >= 0", _UNTIL)}, {_instant("status = 'running'", _UNTIL)},
  coalesce((SELECT n FROM executions WHERE {READY} AND n >= %b::bigint ORDER BY n LIMIT 1),
    (SELECT max(n) FROM executions), 0) - {_MARGIN},
  {_instant(SPECIAL, _UNTIL)}
"""  # noqa: S608
