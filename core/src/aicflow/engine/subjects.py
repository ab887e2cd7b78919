"""Whom an execution is about, as it is kept: a keyed hash, by which all of one person's executions are found."""

from __future__ import annotations

import hmac


def subject_hash(key: bytes, name: str) -> str:
    """The keyed hash of a name, an address or a number; spaces around it and the case of letters do not count."""
    return hmac.digest(key, name.strip().casefold().encode("utf-8", "surrogatepass"), "sha256").hex()[:40]
