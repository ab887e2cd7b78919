"""The chain of the audit: its key, its checkpoints, and proving that no entry was changed, removed or moved."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from aicflow.kernel.ports.audit import GENESIS, AuditFilter, AuditRow, AuditStore
from aicflow.kernel.values import loads

CHECKPOINT: Final = "audit.checkpoint"
DROP: Final = "audit.drop"


@dataclass(slots=True)
class _Chain:
    """How far a verification has come. `seen` are the hashes of the newest rows, for what is signed a little later."""

    seq: int = 0
    hash: bytes = GENESIS
    entries: int = 0
    checkpoints: int = 0
    expected: bool = False
    seen: dict[int, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class AuditKey:
    """The key of the chain, made of the server's secret: it hashes personal data and signs checkpoints."""

    def __init__(self, server_secret: bytes) -> None:
        self._key = hmac.digest(server_secret, b"aicflow/audit/v1", "sha256")
        self.hidden = lru_cache(4096)(self._hidden)
        """A text as bodies name it where it may say who or where a person is."""

    def _hidden(self, text: str) -> str:
        return "h:" + hmac.digest(self._key, b"personal\0" + text.encode(), "sha256").hex()[:32]

    def sign(self, seq: int, hash: bytes) -> str:
        """The signature of a chain that ends with this entry."""
        return hmac.digest(self._key, b"checkpoint\0%d\0" % seq + hash, "sha256").hex()

    def beside(self, personal: str) -> list[str]:
        """The keyed hashes that a body must hold where this stands beside it."""
        return [
            self._hidden(value.partition("/state/")[2] if name == "target" else value)
            for name, value in loads(personal).items()
        ]

    def attested(self, row: AuditRow, problems: list[str]) -> tuple[int, bytes]:
        """What a checkpoint signs: the number of an entry and its hash. A wrong signature is a problem."""
        body = loads(row.body)
        try:
            through, head, mac = int(body["through"]), bytes.fromhex(body["head"]), str(body["mac"])
        except (KeyError, ValueError, TypeError):
            through, head, mac = 0, GENESIS, ""
        if not hmac.compare_digest(mac, self.sign(through, head)):
            problems.append(f"The signature in entry {row.seq} is wrong; was server.secret replaced?")
        return through, head


async def verify_chain(store: AuditStore, key: AuditKey, *, expect: str | None = None) -> dict[str, Any]:
    """Read the whole chain: how many entries, the hash of its end, and what is wrong with it. `expect` is a hash
    that an earlier verification, or the log, gave for its end: it must still be in the chain."""
    dropped = (await store.list(AuditFilter(action=DROP), limit=1)).items
    chain = _Chain()
    if dropped:
        chain.seq, chain.hash = key.attested(dropped[0], chain.problems)
    chain.expected = expect is None or (bool(dropped) and chain.hash.hex() == expect)
    chain.seen[chain.seq] = chain.hash
    after = chain.seq
    first = next(iter(await store.read(limit=1)), None)
    if not dropped and first is not None and first.seq != 1:
        chain.problems.append(f"Entries 1 to {first.seq - 1} were removed, and not by retention.")
        chain.seq = first.seq - 1
    while len(chain.problems) < 100 and (rows := await store.read(after=after, limit=5000)):
        after = rows[-1].seq
        await asyncio.to_thread(_follow, chain, rows, key, expect)
    if not chain.expected:
        chain.problems.append(f"No entry has the hash {expect}: the chain was cut or written anew.")
    return {
        "entries": chain.entries,
        "checkpoints": chain.checkpoints,
        "seq": chain.seq,
        "hash": chain.hash.hex(),
        "problems": chain.problems,
    }


def _follow(chain: _Chain, rows: Sequence[AuditRow], key: AuditKey, expect: str | None) -> None:
    """Go on with these rows."""
    problems, seq, previous = chain.problems, chain.seq, chain.hash
    hidden = lru_cache(10_000)(key.beside)
    for row in rows:
        if row.seq != seq + 1:
            missing = f"Entries {seq + 1} to {row.seq - 1} were" if row.seq > seq + 2 else f"Entry {seq + 1} was"
            problems.append(f"{missing} removed.")
        if sha256(previous + row.body.encode()).digest() != row.hash:
            problems.append(f"Entry {row.seq} was changed, or one before it was removed or moved.")
        if row.personal is not None and not all(value in row.body for value in hidden(row.personal)):
            problems.append(f"What stands beside entry {row.seq} (address, user, target) was changed.")
        seq, previous = row.seq, row.hash
        chain.seen[seq] = previous
        if '"action":"audit.' in row.body and action_in(row) in (CHECKPOINT, DROP):
            chain.checkpoints += 1
            through, head = key.attested(row, problems)
            if chain.seen.get(through, head) != head:
                problems.append(f"Entry {through} is not the one that was signed in entry {row.seq}.")
        chain.expected = chain.expected or previous.hex() == expect
    chain.entries += len(rows)
    chain.seq, chain.hash = seq, previous
    if len(chain.seen) > 20_000:
        chain.seen = dict(list(chain.seen.items())[-10_000:])


def action_in(row: AuditRow) -> str:
    """The action of an entry."""
    return str(loads(row.body)["action"])
