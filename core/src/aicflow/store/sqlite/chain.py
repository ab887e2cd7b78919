"""Adding to the audit chain, in the transaction of what the entries tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from aicflow.kernel.ports.audit import GENESIS, AuditEntry, AuditRow

ROW: Final = "seq, hash, body, personal"
LAST: Final = f"SELECT {ROW} FROM audit ORDER BY seq DESC LIMIT 1"  # noqa: S608


def add_entries(connection: sqlite3.Connection, entries: Sequence[AuditEntry]) -> AuditRow:
    """Add to the end of the chain, in the transaction of what the entries tell. The end is read each time: another
    process may have added to it."""
    found = connection.execute(LAST).fetchone()
    end, last = found[:2] if found else (0, GENESIS)
    rows = []
    for seq, entry in enumerate(entries, end + 1):
        last = sha256(last + entry.body.encode()).digest()
        rows.append((seq, last, entry.body, entry.personal))
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?)", rows)
    return AuditRow(*rows[-1])
