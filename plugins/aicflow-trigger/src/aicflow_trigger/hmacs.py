"""The parts that every signature scheme is made of: secrets, digests, times and constant-time comparison."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError

Algorithm = Literal["sha256", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]

MAX_HEADER: Final = 8_192
MAX_CANDIDATES: Final = 16
MAX_SECRETS: Final = 2  # the live one, and the one before it while senders change over

_DIGESTS: Final = {"sha256": hashlib.sha256, "sha512": hashlib.sha512, "sha1": hashlib.sha1}
_LATEST_TIME: Final = 1 << 53


class Headers:
    """A request's headers, found whatever their case. A header sent twice with different values is refused."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        self._twice: set[str] = set()
        for name, value in headers.items():
            folded = name.lower()
            if self._values.setdefault(folded, value) != value:
                self._twice.add(folded)

    def get(self, name: str) -> str | None:
        """The header's value without surrounding blanks; None when it is missing or empty."""
        folded = name.lower()
        if folded in self._twice:
            raise SignatureRejected(f"the header {name} was sent twice with different values")
        value = self._values.get(folded, "").strip(" \t")
        if len(value) > MAX_HEADER:
            raise SignatureRejected(f"the header {name} is longer than {MAX_HEADER} characters")
        return value or None

    def need(self, name: str) -> str:
        """The header's value. Errors: `SignatureRejected` when it is missing or empty."""
        value = self.get(name)
        if value is None:
            raise SignatureRejected(f"the header {name} is missing")
        return value


def text_keys(secrets: Sequence[str], most: int = MAX_SECRETS) -> list[bytes]:
    """Keys that are used as the bytes of their text. Errors: `SignatureSettingsError`."""
    return [_encoded(secret) for secret in _live(secrets, most)]


def base64_keys(secrets: Sequence[str], prefix: str) -> list[bytes]:
    """Keys written as base64 behind a prefix that may be left away. Errors: `SignatureSettingsError`."""
    keys = []
    for secret in _live(secrets):
        text = secret.removeprefix(prefix)
        try:
            key = base64.b64decode(_encoded(text) + b"=" * (-len(text) % 4), validate=True)
        except binascii.Error:
            key = b""
        if not key:
            raise SignatureSettingsError(
                f"a secret of this kind is base64, usually with {prefix} in front; this one is not"
            )
        keys.append(key)
    return keys


def _live(secrets: Sequence[str], most: int = MAX_SECRETS) -> Sequence[str]:
    if not 1 <= len(secrets) <= most:
        raise SignatureSettingsError(f"from 1 to {most} live secrets are needed, not {len(secrets)}")
    if not all(secrets):
        raise SignatureSettingsError("a secret is empty: anyone could sign with it")
    return secrets


def _encoded(secret: str) -> bytes:
    try:
        return secret.encode()
    except UnicodeEncodeError as error:
        raise SignatureSettingsError("a secret holds characters that are not text") from error


def check_time(text: str, now: float, window: float, header: str) -> int:
    """A sender's Unix time in seconds, if it lies within `window` seconds of `now` either way."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) < _LATEST_TIME):
        raise SignatureRejected(f"the time in {header} is not a number of seconds")
    sent = int(text)
    if sent < now - window:
        raise SignatureRejected(
            f"the time in {header} is {now - sent:.0f} s ago; at most {window:g} s are allowed. "
            "Resend the delivery with a new signature, or check the clocks"
        )
    if sent > now + window:
        raise SignatureRejected(f"the time in {header} is {sent - now:.0f} s ahead of this server's clock")
    return sent


def decode_digest(text: str, encoding: Encoding) -> bytes | None:
    """The bytes of a digest as sent; None when it is not well formed."""
    try:
        if encoding == "hex":
            return bytes.fromhex(text) if text.isascii() and text.isalnum() else None
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def matches(
    keys: Sequence[bytes], parts: Iterable[bytes], candidates: Sequence[bytes], algorithm: Algorithm = "sha256"
) -> bool:
    """Whether any candidate is the HMAC of the joined parts under any key; every pair is compared, in constant time."""
    message = b"".join(parts)
    found = False
    for key in keys:
        expected = hmac.new(key, message, _DIGESTS[algorithm]).digest()
        for candidate in candidates:
            found |= hmac.compare_digest(expected, candidate)
    return found


def header_bytes(text: str) -> bytes:
    """A header's text as the bytes that came over the wire (servers decode headers as Latin-1)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
