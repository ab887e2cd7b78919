"""The wall-clock times that a cron expression names: no time zone and no daylight saving here.

croniter walks the calendar. It is only ever shown naive times and the plain form of expressions that
`cron_fields` has read, because its own zone handling fires twice when clocks go back, and its own reading
is more lenient than ours.
"""

import threading
from datetime import datetime, timedelta
from typing import Final

from aicflow_trigger.cron_fields import CronFields

_SECOND: Final = timedelta(seconds=1)
_LONGEST_WAIT_YEARS: Final = 50  # a fifth Monday in February comes every 28 years, or 40 across 2100


class WallTimes:
    """Walks the named wall-clock times in order; safe to share between threads."""

    def __init__(self, fields: CronFields) -> None:
        from croniter import croniter

        self._lock = threading.Lock()  # croniter keeps its cursor on the instance
        self._iterator = croniter(
            fields.plain,
            datetime(2000, 1, 1),
            ret_type=datetime,
            second_at_beginning=fields.second is not None,
            max_years_between_matches=_LONGEST_WAIT_YEARS,
        )

    def after(self, wall: datetime) -> datetime | None:
        """The first named time later than the naive `wall`; None past the end of the calendar."""
        try:
            with self._lock:
                return self._iterator.get_next(datetime, start_time=wall)
        except (OverflowError, ValueError):  # croniter's errors are ValueErrors
            return None

    def at_or_after(self, wall: datetime) -> datetime | None:
        """The first named time not earlier than the naive `wall` (whole seconds)."""
        return self.after(wall - _SECOND)
