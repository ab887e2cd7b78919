"""Whether a failed attempt is tried again, and when."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aicflow.engine.run.failure import UNEXPECTED
from aicflow.kernel.document import Retry
from aicflow.kernel.errors import NodeError, PermanentError, TransientError

__all__ = ["backoff", "retryable"]

_LONGEST_RETRY_AFTER = 86_400.0


def retryable(error: BaseException, on: Sequence[str] | None) -> bool:
    """Whether to try again: transient errors always, what `retry.on` names by code or type, and with `*` all that is
    not permanent."""
    if isinstance(error, TransientError):
        return True
    if not on:
        return False
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, NodeError):
        names |= {error.code, *error.types}
    else:
        names.add(UNEXPECTED)
    return not names.isdisjoint(on) or ("*" in on and not isinstance(error, PermanentError))


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
