"""What the hosts of one database let in of each rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from aicflow.ports import Asked, Granted, dumps, grant, loads

from aicflow_postgres.database import NOW, Connection, Part, fetch, send

_EVERY: Final = 60.0


class PostgresRates(Part):
    """The ledger of rates. Its clock is the database's."""

    _cleaned_at = 0.0

    async def grant(self, asked: Sequence[Asked]) -> Sequence[Granted]:
        """As `RateLedger.grant`."""
        if time.monotonic() - self._cleaned_at > _EVERY:
            self._cleaned_at = time.monotonic()
            await self.rows(_CLEAN)
        return await self.database.write(lambda connection: self._grant(connection, asked), repeatable=True)

    async def _grant(self, connection: Connection, asked: Sequence[Asked]) -> Sequence[Granted]:
        entries = {_key(one): one for one in asked}
        ordered = sorted(entries)  # two hosts lock in the same order
        spans = [round(entries[key].rate.window * 1_000_000) for key in ordered]
        kept: list[str] = []
        answers: dict[bytes, Granted] = {}
        found = {bytes(key): row for key, *row in await fetch(connection, _LOCK, ordered, spans)}
        for key in ordered:
            grants, now = found[key]
            after, answers[key] = grant([(at, count) for at, count in loads(grants)], entries[key], now)
            kept.append(dumps(after).decode())
        await send(connection, _KEEP, ordered, kept)
        return [answers[key] for key in entries]


def _key(one: Asked) -> bytes:
    return blake2b(f"{one.rate.name}\0{one.rate.window:g}\0{one.whose}".encode(), digest_size=16).digest()


_LOCK = f"""
INSERT INTO rates AS r SELECT key, '[]', {NOW} + span FROM unnest(%b::bytea[], %b::bigint[]) AS a(key, span)
  ORDER BY key
  ON CONFLICT (key) DO UPDATE SET until = excluded.until RETURNING key, grants, {NOW}
"""  # noqa: S608
_KEEP = """
UPDATE rates AS r SET grants = a.grants FROM unnest(%b::bytea[], %b::text[]) AS a(key, grants) WHERE r.key = a.key
"""
_CLEAN = f"DELETE FROM rates WHERE until < {NOW}"  # noqa: S608
