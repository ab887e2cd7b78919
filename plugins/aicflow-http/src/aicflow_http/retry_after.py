"""The Retry-After header: seconds or a date, as seconds from now."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime

import httpx2

__all__ = ["retry_after"]


def retry_after(headers: httpx2.Headers, now: float) -> float | None:
    """Seconds to wait, None when the header is absent or unreadable. A date counts from the answer's own Date, so that
    clocks need not agree."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        at = _moment(text)
        if at is None:
            return None
        seconds = at - (_moment(headers.get("date", "")) or now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
