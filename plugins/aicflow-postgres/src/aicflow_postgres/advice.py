"""What whoever operates the PostgreSQL server should know: `aicflow doctor` shows it."""

from __future__ import annotations

from time import time
from typing import Final, Literal

from aicflow.ports import Finding

from aicflow_postgres.database import NOW, Connection, Database, fetch

_OLDEST: Final = 140_000
_LATE: Final = 2.0
_SIGNALS: Final = 2
"""Connections of a process beside its pool."""


async def advice(database: Database, pool: int) -> list[Finding]:
    """See the port. `pool` is the most connections of one process's pool."""
    async with database.connection() as connection:
        return [
            await _version(connection),
            await _clock(connection),
            await _connections(connection, pool),
            *await _settings(connection),
            *await _table(connection),
            *await _holders(connection),
        ]


async def _version(connection: Connection) -> Finding:
    [(number, version)] = await fetch(
        connection, "SELECT current_setting('server_version_num')::int, current_setting('server_version')"
    )
    if number < _OLDEST:
        return Finding("problem", "postgresql", f"Version {version} is too old; AIC Flow needs 14 or later.")
    return Finding("ok", "postgresql", f"version {version}")


async def _clock(connection: Connection) -> Finding:
    before = time()
    [(now,)] = await fetch(connection, f"SELECT {NOW}")
    after = time()
    off = now / 1e6 - (before + after) / 2
    if abs(off) - (after - before) / 2 <= _LATE:
        return Finding("ok", "clock", "this host's and PostgreSQL's agree")
    return Finding(
        "problem",
        "clock",
        f"This host's clock is {abs(off):.0f} s {'behind' if off > 0 else 'ahead of'} PostgreSQL's."
        " Keep both right with NTP: delays and schedules follow the host's.",
    )


async def _connections(connection: Connection, pool: int) -> Finding:
    """Whether all processes may use the whole of their pools at once."""
    [(most, hosts, ours, others)] = await fetch(connection, _CONNECTIONS)
    wanted = max(1, hosts) * (pool + _SIGNALS)
    text = f"{max(1, hosts)} processes may use {wanted}, others use {others} now, and PostgreSQL allows {most}"
    if wanted + others <= most:
        return Finding("ok", "connections", text)
    return Finding(
        "problem" if ours + others >= most else "note",
        "connections",
        f"{text}. Raise max_connections, lower AICFLOW_STORE_POOL, or put PgBouncer between.",
    )


async def _settings(connection: Connection) -> list[Finding]:
    found = dict(await fetch(connection, _SETTINGS))
    return [Finding(state, name, text) for name, wrong, state, text in _WRONG if found.get(name) == wrong]


async def _table(connection: Connection) -> list[Finding]:
    """The settings of the hot table come with the schema; a restore by hand may have lost them."""
    options = dict(option.split("=", 1) for (option,) in await fetch(connection, _OPTIONS))
    found = []
    if options.get("autovacuum_enabled") in ("false", "off"):
        found.append(
            Finding(
                "problem",
                "autovacuum",
                "It is off for the table executions, which grows for ever then."
                " Run `ALTER TABLE executions RESET (autovacuum_enabled)`.",
            )
        )
    if options.get("fillfactor") != "50" or options.get("autovacuum_vacuum_scale_factor") != "0.02":
        found.append(
            Finding(
                "note",
                "executions",
                "The table has not the settings of the schema. Run `ALTER TABLE executions SET (fillfactor = 50,"
                " autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)`.",
            )
        )
    return found


async def _holders(connection: Connection) -> list[Finding]:
    """Whoever keeps vacuum from removing dead rows."""
    found = [
        Finding(
            "note",
            "transactions",
            f"Process {pid} ({name or 'unnamed'}, {state}) has had one open for {minutes} minutes, so that no dead rows"
            f" are removed. End it: `SELECT pg_terminate_backend({pid})`.",
        )
        for pid, name, state, minutes in await fetch(connection, _LONG)
    ]
    found += [
        Finding(
            "problem",
            "transactions",
            f"{gid!r} was prepared {minutes} minutes ago and never ended. Run `ROLLBACK PREPARED '{gid}'`.",
        )
        for gid, minutes in await fetch(connection, _PREPARED)
    ]
    found += [
        Finding(
            "problem",
            "replication",
            f"Nobody reads the slot {name!r}, for which PostgreSQL keeps {kept // 2**20} MiB of its log. Bring its"
            f" reader back, or run `SELECT pg_drop_replication_slot('{name}')`.",
        )
        for name, kept in await fetch(connection, _SLOTS)
    ]
    return found or [Finding("ok", "vacuum", "no long transaction and no idle replication slot holds it up")]


_CONNECTIONS: Final = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
  count(*) FILTER (WHERE query = 'LISTEN aicflow'),
  count(*) FILTER (WHERE application_name = 'aicflow' OR query = 'LISTEN aicflow' OR query LIKE '%pg_notify($1%'),
  count(*) FILTER (
    WHERE application_name <> 'aicflow' AND query <> 'LISTEN aicflow' AND query NOT LIKE '%pg_notify($1%')
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_SETTINGS: Final = """
SELECT name, setting FROM pg_settings
  WHERE name IN ('autovacuum', 'fsync', 'full_page_writes', 'idle_in_transaction_session_timeout', 'synchronous_commit')
"""
_WRONG: Final[tuple[tuple[str, str, Literal["note", "problem"], str], ...]] = (
    ("autovacuum", "off", "problem", "It is off: dead rows are never removed. Set autovacuum = on."),
    ("fsync", "off", "problem", "It is off: a power cut damages the database. Set fsync = on."),
    (
        "full_page_writes",
        "off",
        "problem",
        "It is off: a power cut may damage what is stored. Turn it on.",
    ),
    (
        "synchronous_commit",
        "off",
        "note",
        "It is off: what was accepted in the last moments before a power cut is lost. Set synchronous_commit = on.",
    ),
    (
        "idle_in_transaction_session_timeout",
        "0",
        "note",
        "It is not set: a forgotten transaction keeps dead rows for ever. Set it to '10min'.",
    ),
)
_OPTIONS: Final = """
SELECT unnest(reloptions) FROM pg_class WHERE oid = to_regclass('executions')
"""
_LONG: Final = """
SELECT pid, application_name, state, (extract(epoch FROM clock_timestamp() - xact_start) / 60)::int
  FROM pg_stat_activity
  WHERE xact_start < clock_timestamp() - interval '10 minutes' AND backend_type = 'client backend'
    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) ORDER BY xact_start LIMIT 5
"""
_PREPARED: Final = """
SELECT gid, (extract(epoch FROM clock_timestamp() - prepared) / 60)::int FROM pg_prepared_xacts
  WHERE prepared < clock_timestamp() - interval '10 minutes' ORDER BY prepared LIMIT 5
"""
_SLOTS: Final = """
SELECT slot_name, coalesce(pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint
  FROM pg_replication_slots WHERE NOT active ORDER BY 1 LIMIT 5
"""
