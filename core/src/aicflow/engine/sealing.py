"""Real values that must outlive the process while only masked ones may be read: sealed under the server's key."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aicflow.kernel.errors import PermanentError

__all__ = ["Seal"]

_NONCE: Final = 12


class Seal:
    """AES-GCM under a key derived from the server's secret; without one, under a key that ends with the process."""

    __slots__ = ("_cipher",)

    def __init__(self, server_secret: bytes | None = None) -> None:
        source = server_secret or os.urandom(32)
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"aicflow/sealed-output/v1").derive(source))

    def close(self, value: bytes, place: str) -> bytes:
        """The value, sealed for this place only; as text."""
        nonce = os.urandom(_NONCE)
        return b64encode(nonce + self._cipher.encrypt(nonce, value, place.encode()))

    def open(self, sealed: bytes, place: str) -> bytes:
        """The value. Raises PermanentError when it was sealed for another place or under another key."""
        try:
            raw = b64decode(sealed)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], place.encode())
        except (InvalidTag, ValueError):
            raise PermanentError(
                f"The sealed value of {place} cannot be opened: the server's secret is not the one it was sealed with.",
                code="sealed-value-lost",
                hint="Restore `server.secret` from the backup that belongs to this database.",
            ) from None
