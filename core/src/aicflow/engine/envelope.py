"""Stored secrets: each version sealed with a data key of its own, which a key-encryption key wraps.

What is sealed is bound to the secret's name and version, what is wrapped to the key-encryption key too: a record that
is put in another's place cannot be opened."""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.access import SecretRecord
from aicflow.kernel.records import KeyWrapper
from aicflow.lazy import needs

_NONCE: Final = 12
_PURPOSE: Final = b"aicflow/secret/v1"


def _aead(key: bytes) -> Any:
    needs("cryptography", "Keeping secrets in the store")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _opened(key: bytes, nonce: bytes, sealed: bytes, context: bytes) -> bytes | None:
    aead = _aead(key)
    from cryptography.exceptions import InvalidTag

    try:
        value: bytes = aead.decrypt(nonce, sealed, context)
        return value
    except (InvalidTag, ValueError):
        return None


class LocalKey:
    """A key-encryption key that this process holds. Its name is a fingerprint that says nothing of the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.name = "local-" + hmac.digest(key, b"aicflow/kek-id/v1", "sha256").hex()[:16]

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """See KeyWrapper."""
        nonce = os.urandom(_NONCE)
        wrapped: bytes = _aead(self._key).encrypt(nonce, key, context)
        return nonce + wrapped

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See KeyWrapper."""
        key = _opened(self._key, wrapped[:_NONCE], wrapped[_NONCE:], context)
        if key is None:
            raise AICFlowError("the wrapped key is damaged, or of another secret")
        return key


def new_key_text() -> str:
    """A new key as a line of a key file."""
    return b64encode(os.urandom(32)).decode()


def read_keys(text: str, where: str) -> list[LocalKey]:
    """Keys, one a line; the first is the current one. Raises AICFlowError."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            raw = bytes.fromhex(line) if len(line.strip()) == 64 else b64decode(line.strip(), validate=True)
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise AICFlowError(
                f"Line {number} of {where} is not a key: 32 bytes in base64 or hex are expected.",
                hint="Make one with: openssl rand -base64 32",
            )
        keys.append(LocalKey(raw))
    if not keys:
        raise AICFlowError(f"There is no key in {where}.", hint="Make one with: openssl rand -base64 32")
    return keys


class Envelope:
    """Seals and opens secrets. The first key wraps, all of them unwrap."""

    def __init__(self, keys: Sequence[KeyWrapper]) -> None:
        self.keys = tuple(keys)

    @property
    def current(self) -> KeyWrapper | None:
        """The key under which secrets are sealed now."""
        return self.keys[0] if self.keys else None

    async def seal(self, record: SecretRecord, value: str) -> SecretRecord:
        """The record with this value. Raises AICFlowError when the key cannot be used."""
        data_key, nonce = os.urandom(32), os.urandom(_NONCE)
        ciphertext: bytes = _aead(data_key).encrypt(nonce, value.encode(), _context(record))
        return await self._wrapped(replace(record, nonce=nonce, ciphertext=ciphertext), data_key)

    async def open(self, record: SecretRecord) -> str:
        """The value. Raises AICFlowError when its key is not here, or cannot be used now."""
        value = _opened(await self._data_key(record), record.nonce, record.ciphertext, _context(record))
        if value is None:
            raise AICFlowError(f"The stored secret {record.name!r} is damaged", hint="Set it again.")
        return value.decode()

    async def rewrap(self, record: SecretRecord) -> SecretRecord:
        """The record with its data key under the current key. Raises as `open`."""
        return await self._wrapped(record, await self._data_key(record))

    async def _wrapped(self, record: SecretRecord, data_key: bytes) -> SecretRecord:
        key = self.current
        if key is None:
            raise AICFlowError("There is no key to seal secrets with.")
        wrapped = await key.wrap(data_key, _context(record, key.name))
        return replace(record, kek_id=key.name, wrapped_key=wrapped)

    async def _data_key(self, record: SecretRecord) -> bytes:
        for key in self.keys:
            if key.name == record.kek_id:
                return await key.unwrap(record.wrapped_key, _context(record, key.name))
        raise AICFlowError(f"The key {record.kek_id} of the stored secret {record.name!r} is not here")


def _context(record: SecretRecord, kek_id: str | None = None) -> bytes:
    parts = [_PURPOSE, record.name.encode(), b"%d" % record.version]
    return b"\0".join(parts if kek_id is None else [*parts, kek_id.encode()])
