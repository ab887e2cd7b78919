"""Executions that were made before for the same fire or with the same idempotency key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from aicflow.kernel.ports.executions import Created, Fire, NewExecution
from aicflow.kernel.values import dumps, loads

__all__ = ["Earlier"]


class Earlier:
    """Executions that were made for the same fire or with the same idempotency key."""

    def __init__(self, connection: sqlite3.Connection, accepted: Sequence[NewExecution]) -> None:
        fires = [[new.fire.binding_id, new.fire.key] for new in accepted if new.fire and new.fire.key is not None]
        keys = [[new.idempotency.scope, new.idempotency.key] for new in accepted if new.idempotency is not None]
        self._found: dict[tuple[str, str, str], tuple[str | None, str | None]] = {}
        if fires or keys:
            asked = {"fires": dumps(fires).decode(), "keys": dumps(keys).decode()}
            for kind, scope, key, *found in loads(connection.execute(_EARLIER, asked).fetchone()[0]):
                self._found[kind, scope, key] = (found[0], found[1])

    def find(self, new: NewExecution) -> Created | None:
        for name in self._names(new):
            if name in self._found:
                execution_id, fingerprint = self._found[name]
                return Created(execution_id, duplicate=True, fingerprint=fingerprint)
        return None

    def add(self, new: NewExecution) -> None:
        fingerprint = new.idempotency.fingerprint if new.idempotency else None
        for name in self._names(new):
            self._found[name] = (new.id, fingerprint if name[0] == "key" else None)

    def add_skipped(self, fire: Fire) -> None:
        if fire.key is not None:
            self._found["fire", fire.binding_id, fire.key] = (None, None)

    @staticmethod
    def _names(new: NewExecution) -> Iterator[tuple[str, str, str]]:
        if new.fire is not None and new.fire.key is not None:
            yield "fire", new.fire.binding_id, new.fire.key
        if new.idempotency is not None:
            yield "key", new.idempotency.scope, new.idempotency.key


_EARLIER = """
SELECT json_group_array(json_array(kind, scope, key, execution_id, fingerprint)) FROM (
  SELECT 'fire' AS kind, f.binding_id AS scope, f.key AS key, f.execution_id, NULL AS fingerprint
    FROM json_each(:fires) AS a CROSS JOIN fires AS f
    WHERE f.binding_id = json_extract(a.value, '$[0]') AND f.key = json_extract(a.value, '$[1]')
  UNION ALL
  SELECT 'key', k.scope, k.key, k.result, k.fingerprint
    FROM json_each(:keys) AS a CROSS JOIN idempotency_keys AS k
    WHERE k.scope = json_extract(a.value, '$[0]') AND k.key = json_extract(a.value, '$[1]'))
"""
