"""When a request is sent again, and after how long. Decides; waits for nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aicflow_sdk.errors import AICFlowError, APIError, ConnectionFailed

_REFUSED: Final = 429
"""Not done; the server says when to try again."""
_UNCERTAIN: Final = frozenset({502, 503, 504})
"""Perhaps done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Up to `attempts` tries of a request, with exponential delays in seconds and full jitter: a random part of
    `initial * 2**n`, at most `longest`. A `Retry-After` of the server counts instead of the delay, with a little
    jitter; one above `patience` is not waited for: the error is raised at once."""

    attempts: int = 5
    initial: float = 0.25
    longest: float = 8.0
    patience: float = 60.0
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.initial < 0 or self.longest < 0 or self.patience < 0:
            raise ValueError("attempts is at least 1, delays are not negative")

    def delay(self, tried: int) -> float:
        """The seconds before the next try, after so many."""
        return self.random() * min(self.longest, self.initial * 2.0 ** min(tried - 1, 30))

    def after(self, error: AICFlowError, tried: int, *, repeatable: bool) -> float | None:
        """The seconds after which to try again; None when the error is final."""
        if tried >= self.attempts:
            return None
        if isinstance(error, ConnectionFailed):
            return self.delay(tried) if repeatable or not error.sent else None
        if not isinstance(error, APIError):
            return None
        if error.status != _REFUSED and not (repeatable and error.status in _UNCERTAIN):
            return None
        asked = error.retry_after
        if asked is None:
            return self.delay(tried)
        return asked + self.random() * min(1.0, self.initial) if asked <= self.patience else None
