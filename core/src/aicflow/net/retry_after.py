"""How long a server asks to wait: `Retry-After` in seconds or as a date, and `retry-after-ms`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, None when the headers (names in lower case) do not say or are unreadable. A date counts from the
    reply's own Date, so that clocks need not agree, else from `now`."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            seconds = float(text) / unit
        except ValueError:
            at = _timestamp(text)
            if at is None:
                continue
            seconds = at - (_timestamp(headers.get("date", "")) or (time.time() if now is None else now))
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _timestamp(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
