"""Which fires are due after a pause, and how far each is put off. Pure: the caller brings the clock."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Final, Literal

from aicflow_trigger.schedule import Fire, Schedule

CatchUp = Literal["none", "latest", "all"]

GRACE: Final = timedelta(seconds=60)
WINDOW: Final = timedelta(days=1)
BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Due:
    """The fires to start now, oldest first. Once they are started, everything up to `reached` has been dealt with;
    `more` tells that others are due after them. `missed`: the first of them was not on time."""

    fires: tuple[Fire, ...]
    reached: datetime
    more: bool = False
    missed: bool = False


def due_fires(
    schedule: Schedule,
    last: datetime,
    now: datetime,
    policy: CatchUp,
    *,
    window: timedelta = WINDOW,
    owed_until: datetime | None = None,
    grace: timedelta = GRACE,
    limit: int = BATCH,
    trigger_id: str = "",
    max_jitter: float = 0.0,
) -> Due:
    """The fires due at `now`, when everything up to `last` (aware) has been dealt with.

    A fire's moment is its instant, put off by its jitter. It is on time until its moment is `grace` ago and missed
    afterwards. On-time fires are always due. Of the missed ones, "none" returns none; "latest" the newest, and only
    if nothing is on time; "all" those of the last `window`, and those up to `owed_until` however long ago they were:
    a window that moved on while it was made up for would lose its oldest. Returns `limit` fires at most: ask again,
    from `reached`, while there are `more`.
    """
    if now <= last:
        return Due((), last)
    late = now - grace
    owed_until = last if owed_until is None else min(owed_until, now)
    start = max(last, owed_until, now - window) if policy == "all" else max(last, late - timedelta(seconds=max_jitter))
    found: list[Fire] = []
    missed: Fire | None = None
    moment = 0.0
    more = False
    for fire in chain(schedule.fires_between(last, owed_until), schedule.fires_between(start, now)):
        # one after the other, also where jitter would turn them round
        moment = max(moment, fire.at.timestamp() + jitter(trigger_id, fire, max_jitter))
        if moment > now.timestamp():
            now = fire.at - timedelta(microseconds=1)
            break
        if moment < late.timestamp():
            missed = missed if policy == "all" and missed else fire
            if policy != "all":
                continue
        if len(found) == limit:
            more, now = True, found[-1].at
            break
        found.append(fire)
    if policy == "latest" and not found:
        found = [missed] if missed else list(islice(schedule.fires_back(last, start), 1))
    return Due(tuple(found), now, more, missed in found)


def jitter(trigger_id: str, fire: Fire, max_seconds: float) -> float:
    """How many seconds to put this fire off: in [0, `max_seconds`), the same on every host and restart."""
    if max_seconds <= 0:
        return 0.0
    digest = hashlib.blake2b(f"{trigger_id}\0{fire.at.timestamp():.0f}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / (1 << 56) * max_seconds
