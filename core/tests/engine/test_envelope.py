"""Secrets as they lie in the store: sealed, and of no use in another's place."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from aicflow.engine.envelope import Envelope, LocalKey
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.access import SecretRecord


def record(name: str, version: int = 1) -> SecretRecord:
    return SecretRecord(name, version, None, (), {}, 0.0, 0.0, None, "", b"", b"", b"")


async def test_a_record_in_anothers_place_is_not_opened() -> None:
    envelope = Envelope([LocalKey(os.urandom(32)), LocalKey(os.urandom(32))])
    mine, theirs = [await envelope.seal(record(name), f"the value of {name}") for name in ("MINE", "THEIRS")]
    assert await envelope.open(mine) == "the value of MINE"
    assert b"value" not in mine.ciphertext + mine.wrapped_key
    assert mine.wrapped_key != (await envelope.seal(record("MINE"), "the value of MINE")).wrapped_key
    parts = ("wrapped_key", "nonce", "ciphertext")
    everything = {part: getattr(theirs, part) for part in parts}
    moved = [replace(mine, **everything), replace(mine, version=2), replace(theirs, name="MINE")]
    moved += [replace(mine, kek_id=envelope.keys[1].name)]
    moved += [replace(mine, **{part: everything[part]}) for part in parts]
    for part in parts:
        value = bytearray(getattr(mine, part))
        value[-1] ^= 1
        moved.append(replace(mine, **{part: bytes(value)}))
    for one in moved:
        with pytest.raises(AICFlowError):
            await envelope.open(one)
