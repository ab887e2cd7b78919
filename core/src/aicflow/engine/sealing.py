"""Real values that must outlive the process while only masked ones may be read: sealed under the server's key."""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from functools import cached_property
from typing import Any, Final

from aicflow.engine.masking import Mask
from aicflow.kernel.errors import PermanentError
from aicflow.kernel.values import dumps, loads
from aicflow.lazy import needs

_NONCE: Final = 12
_SEALED: Final = "$sealed"
_MARK: Final = b'"$sealed"'
_SHOWN: Final = "shown"


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


class Vault:
    """JSON values from outside that programs read again, such as a delivery's payload: one that holds a secret is kept
    as `{"$sealed": …, "shown": …}`, the real value sealed beside the masked one. `place` binds it to where it is."""

    def __init__(self, seal: Seal, mask: Mask) -> None:
        self._seal = seal
        self.mask = mask

    def keep(self, place: str, value: Any) -> Any:
        """What to store of the value: itself when it holds no secret."""
        encoded = dumps(value)
        kept = self.keep_encoded(place, encoded)
        return value if kept is encoded else loads(kept)

    def keep_encoded(self, place: str, encoded: bytes) -> bytes:
        """What to store of an encoded value: the same object when it holds no secret."""
        shown = self.mask.json(encoded)
        # a value that looks like a sealed one is sealed, too: what is stored can then be told apart
        if shown is encoded and _MARK not in encoded:
            return encoded
        return dumps({_SEALED: self._seal.close(encoded, place).decode(), _SHOWN: loads(shown)})

    def real(self, place: str, kept: Any) -> Any:
        """The value, from what was stored of it. Raises PermanentError."""
        return loads(self._seal.open(kept[_SEALED].encode(), place)) if _is_sealed(kept) else kept

    def shown(self, kept: Any) -> Any:
        """What people may see of it."""
        return self.mask.value(kept[_SHOWN] if _is_sealed(kept) else kept)

    def key(self, key: str, mask: Mask) -> str:
        """A key by which something is found again: where it holds a secret, masked, and told apart by a keyed hash."""
        shown = mask.text(key)
        if shown == key:
            return key
        return f"{shown}#{hmac.digest(self._seal.signing_key('keys'), key.encode(), 'sha256').hex()[:16]}"


def _is_sealed(kept: Any) -> bool:
    return isinstance(kept, dict) and kept.keys() == {_SEALED, _SHOWN}
