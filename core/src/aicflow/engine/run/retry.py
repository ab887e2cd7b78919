"""How long to wait before the next attempt."""

from __future__ import annotations

import random

from aicflow.kernel.document import Retry
from aicflow.kernel.errors import TransientError

__all__ = ["backoff"]

_LONGEST_RETRY_AFTER = 86_400.0


def backoff(retry: Retry, attempt: int, error: BaseException, chance: random.Random) -> float:
    """Seconds until the attempt after `attempt` (from 1): exponential, capped, full jitter. What the other side asked
    for with Retry-After is the least, up to a day."""
    # the exponent is bounded because multiplier ** attempt overflows long before a thousand attempts
    exponent = min(attempt - 1, 64)
    delay = min(retry.max_delay, retry.initial_delay * min(retry.multiplier**exponent, 1e18))
    if retry.jitter:
        delay = chance.uniform(0.0, delay)
    asked = error.retry_after if isinstance(error, TransientError) else None
    if asked is not None:
        delay = max(delay, min(max(asked, 0.0), _LONGEST_RETRY_AFTER))
    return delay
