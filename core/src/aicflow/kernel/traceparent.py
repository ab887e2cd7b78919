"""The W3C trace context of a request: kept with what it started."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["valid_traceparent"]

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid_traceparent(header: str | None) -> str | None:
    """The value of a `traceparent` header, None when it is not one. What a later version of the standard adds behind it
    is left out."""
    match = _TRACEPARENT.match(header) if header else None
    if match is None or header is None:
        return None
    rest = header[match.end() :]
    return match[0] if not rest or (rest[0] == "-" and not header.startswith("00")) else None
