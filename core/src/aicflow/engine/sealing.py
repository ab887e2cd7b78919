"""Real values that must outlive the process while only masked ones may be read: sealed under the server's key."""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from functools import cached_property
from typing import Any, Final

from aicflow.kernel.errors import PermanentError
from aicflow.lazy import needs

_NONCE: Final = 12


class Seal:
    """AES-GCM under a key derived from the server's secret; without one, under a key that ends with the process."""

    def __init__(self, server_secret: bytes | None = None) -> None:
        self._source = server_secret or os.urandom(32)

    @cached_property
    def _cipher(self) -> Any:
        needs("cryptography", "Keeping outputs that hold secrets")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"aicflow/sealed-output/v1").derive(self._source))

    def signing_key(self, purpose: str) -> bytes:
        """A key for a purpose outside of this module."""
        return hmac.digest(self._source, b"aicflow/signing/v1/" + purpose.encode(), "sha256")

    def close(self, value: bytes, place: str) -> bytes:
        """The value, sealed for this place only; as text."""
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._cipher.encrypt(nonce, value, place.encode())
        return b64encode(nonce + sealed)

    def open(self, sealed: bytes, place: str) -> bytes:
        """The value. Raises PermanentError when it was sealed for another place or under another key."""
        cipher = self._cipher
        from cryptography.exceptions import InvalidTag

        try:
            raw = b64decode(sealed)
            value: bytes = cipher.decrypt(raw[:_NONCE], raw[_NONCE:], place.encode())
            return value
        except (InvalidTag, ValueError):
            raise PermanentError(
                f"The sealed value of {place} cannot be opened: the server's secret is not the one it was sealed with.",
                code="sealed-value-lost",
                hint="Restore `server.secret` from the backup that belongs to this database.",
            ) from None
