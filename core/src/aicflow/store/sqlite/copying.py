"""The tables of an SQLite database, to copy from and into."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aicflow.store.copying import KEYS, CopiedRow, indexed
from aicflow.store.sqlite.event_rows import pack, unpack

_SHORTENED: Final = "\0shortened:"
"""Before the octets of a key whose end another store keeps as a hash only."""


class SQLiteTables:
    """Within one transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def columns(self, table: str) -> Sequence[str]:
        return list(self._types(table))

    async def rows(self, table: str, columns: Sequence[str]) -> AsyncIterator[CopiedRow]:
        names = ", ".join("coalesce(announce, 0)" if name == "announce" else name for name in columns)
        key = columns.index(KEYS[table]) if KEYS.get(table) in columns else None
        for found in self._connection.execute(f"SELECT {names} FROM {table}"):  # noqa: S608
            row = list(found)
            if key is not None and row[key] is not None:
                row[key] = _neutral_key(row[key])
            if table == "events" and len(row) > 1:
                row[-1] = b"\n".join(unpack(row[0], row[1], row[2], row[3]))
            elif table == "payloads" and len(row) > 1 and row[-1] is not None:
                row[-2] = None
            yield [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in row]

    async def add(self, table: str, columns: Sequence[str], rows: AsyncIterator[CopiedRow]) -> None:
        types = self._types(table)
        key = columns.index(KEYS[table]) if table in KEYS else None
        text = [i for i, name in enumerate(columns) if types[name] == "TEXT"]
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
        async for given in rows:
            row: list[Any] = list(given)
            if key is not None and row[key] is not None:
                row[key] = _own_key(row[key])
            for i in text:
                if isinstance(row[i], bytes):
                    row[i] = row[i].decode("utf-8", "surrogatepass")
            if table == "events":
                row[-1] = pack(row[0], row[-1].split(b"\n"))
            elif table == "payloads" and row[-2] is None:
                row[-2] = b""
            self._connection.execute(sql, row)

    def _types(self, table: str) -> dict[str, str]:
        return {row[1]: row[2] for row in self._connection.execute(f"PRAGMA table_info({table})")}


def _neutral_key(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix(_SHORTENED)) if text.startswith(_SHORTENED) else indexed(text)


def _own_key(key: bytes) -> str:
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return _SHORTENED + key.hex()
    return text if indexed(text) == key else _SHORTENED + key.hex()
