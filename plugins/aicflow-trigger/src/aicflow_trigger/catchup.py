"""Which fires are due after a pause, and how far each is put off. Pure: the caller brings the clock."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal

from aicflow_trigger.schedule import Fire, Schedule

CatchUp = Literal["none", "latest", "all"]

GRACE: Final = timedelta(seconds=60)
WINDOW: Final = timedelta(days=1)
CAP: Final = 100


@dataclass(frozen=True, slots=True)
class Due:
    """The fires to start now, oldest first; `more` tells that older ones were left out by the cap."""

    fires: tuple[Fire, ...]
    more: bool = False


def due_fires(
    schedule: Schedule,
    last: datetime,
    now: datetime,
    policy: CatchUp,
    *,
    window: timedelta = WINDOW,
    grace: timedelta = GRACE,
    cap: int = CAP,
) -> Due:
    """The fires due at `now`, when everything up to `last` (aware) has been dealt with.

    A fire is on time until it is `grace` old and missed afterwards. On-time fires are always due. Of the missed
    ones, "none" gives none; "latest" the newest, and only if nothing is on time; "all" those of the last
    `window`. At most `cap` fires are given, the newest. Cost grows with `cap`, not with the length of the pause.
    """
    if now <= last or cap < 1:
        return Due(())
    on_time_after = max(last, now - grace)
    match policy:
        case "none":
            found = _newest(schedule, on_time_after, now, cap)
        case "latest":
            found = _newest(schedule, on_time_after, now, cap)
            if not found.fires:
                found = Due(_newest(schedule, last, now, 1).fires)
        case "all":
            found = _newest(schedule, min(on_time_after, max(last, now - window)), now, cap)
    return found


def _newest(schedule: Schedule, after: datetime, until: datetime, cap: int) -> Due:
    back = list(islice(schedule.fires_back(after, until), cap + 1))
    return Due(tuple(reversed(back[:cap])), more=len(back) > cap)


def jitter(trigger_id: str, fire: Fire, max_seconds: float) -> float:
    """How many seconds to put this fire off: in [0, `max_seconds`), the same on every host and restart."""
    if max_seconds <= 0:
        return 0.0
    digest = hashlib.blake2b(f"{trigger_id}\0{fire.at.timestamp():.0f}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56) * max_seconds
