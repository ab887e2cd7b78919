"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall-clock time of this machine."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()
