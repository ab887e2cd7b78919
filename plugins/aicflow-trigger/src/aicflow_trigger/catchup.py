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
    """The fires to start now, oldest first. `waiting` is the first whose moment has not come because of jitter: only
    what is before it has been dealt with. `more` tells that older fires were left out by the cap."""

    fires: tuple[Fire, ...]
    more: bool = False
    waiting: Fire | None = None


def due_fires(
    schedule: Schedule,
    last: datetime,
    now: datetime,
    policy: CatchUp,
    *,
    window: timedelta = WINDOW,
    grace: timedelta = GRACE,
    cap: int = CAP,
    trigger_id: str = "",
    max_jitter: float = 0.0,
) -> Due:
    """The fires due at `now`, when everything up to `last` (aware) has been dealt with.

    A fire's moment is its instant, put off by its jitter. It is on time until its moment is `grace` ago and missed
    afterwards. On-time fires are always due. Of the missed ones, "none" gives none; "latest" the newest, and only
    if nothing is on time; "all" those of the last `window`. At most `cap` fires are given, the newest. Cost grows
    with `cap`, not with the length of the pause.
    """
    if now <= last or cap < 1:
        return Due(())
    start = max(last, now - grace - timedelta(seconds=max_jitter))
    if policy == "all":
        start = min(start, max(last, now - window))
    found, more = _newest(schedule, start, now, cap)
    on_time: list[Fire] = []
    missed: list[Fire] = []
    waiting = None
    moment = 0.0
    for fire in found:
        # one after the other, also where jitter would turn them round
        moment = max(moment, fire.at.timestamp() + jitter(trigger_id, fire, max_jitter))
        if moment > now.timestamp():
            waiting = fire
            break
        (on_time if moment >= (now - grace).timestamp() else missed).append(fire)
    match policy:
        case "none":
            return Due(tuple(on_time), more, waiting)
        case "all":
            return Due((*missed, *on_time), more, waiting)
    if on_time:
        return Due(tuple(on_time), more, waiting)
    latest = tuple(missed[-1:]) or tuple(_newest(schedule, last, start, 1)[0])
    return Due(latest, waiting=waiting)


def _newest(schedule: Schedule, after: datetime, until: datetime, cap: int) -> tuple[list[Fire], bool]:
    back = list(islice(schedule.fires_back(after, until), cap + 1))
    return back[:cap][::-1], len(back) > cap


def jitter(trigger_id: str, fire: Fire, max_seconds: float) -> float:
    """How many seconds to put this fire off: in [0, `max_seconds`), the same on every host and restart."""
    if max_seconds <= 0:
        return 0.0
    digest = hashlib.blake2b(f"{trigger_id}\0{fire.at.timestamp():.0f}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56) * max_seconds
