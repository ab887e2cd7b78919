"""How long ended executions are kept: reading `30d` and `succeeded=30d,failed=90d`, and the rules they make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aicflow.kernel.ports.maintenance import RetentionRule

STATUSES: Final = ("succeeded", "failed", "cancelled")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def _by_status(text: str) -> dict[str, str]:
    """`X` for every status, or `succeeded=X,failed=Y`. Raises ValueError."""
    if not text.strip():
        return {}
    found: dict[str, str] = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        names = (name.strip(),) if separator else STATUSES
        if names[0] not in STATUSES:
            raise ValueError(f"{names[0]!r} is not a status that an execution ends with: {', '.join(STATUSES)}")
        for one in names:
            if one in found:
                raise ValueError(f"{one} is given twice")
            found[one] = value.strip() if separator else name.strip()
    return found


def ages(text: str) -> dict[str, float]:
    """Seconds by status; `forever` sets no bound. Raises ValueError for what is neither `30d` nor
    `succeeded=30d,failed=forever`."""
    return {status: age(value) for status, value in _by_status(text).items() if value != "forever"}


def age(text: str) -> float:
    """Seconds. Raises ValueError for what is not an age."""
    match = _AGE.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not an age such as 12h, 30d or 8w")
    return float(match[1]) * _UNITS[match[2]]


def counts(text: str) -> dict[str, int]:
    """Numbers by status. Raises ValueError for what is neither `1000` nor `succeeded=1000,failed=500`."""
    found: dict[str, int] = {}
    for status, value in _by_status(text).items():
        if not value.isascii() or not value.isdigit():
            raise ValueError(f"{value!r} is not a number of executions such as 1000")
        found[status] = int(value)
    return found


def rules(age: Mapping[str, float], count: Mapping[str, int]) -> list[RetentionRule]:
    """One rule for each status that has a bound."""
    return [RetentionRule(one, age.get(one), count.get(one)) for one in STATUSES if one in age or one in count]
