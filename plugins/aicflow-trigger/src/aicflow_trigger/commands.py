"""The command `aicflow cron next`."""

import json
from datetime import UTC, datetime

from aicflow import AICFlowError

from aicflow_trigger.cron import preview
from aicflow_trigger.errors import ScheduleError
from aicflow_trigger.schedule import Schedule


def cron_next(schedule: str, *, timezone: str = "UTC", count: int = 5, after: str = "", output: str = "text") -> int:
    """Show when a schedule fires next, and the hours that clock changes skip or double.

    Args:
        schedule: Five fields, six with seconds first, or an alias such as @daily.
        timezone: IANA name, such as Europe/Amsterdam.
        count: How many fires to show.
        after: RFC 3339 instant to count from; now when left out.
        output: text or json.
    """
    try:
        parsed = Schedule.parse(schedule, timezone)
        start = datetime.fromisoformat(after) if after else datetime.now(UTC)
    except ScheduleError as error:
        raise AICFlowError(f"{error}") from None
    except ValueError:
        raise AICFlowError(f"{after!r} is not an RFC 3339 instant, such as 2027-03-28T00:00:00Z.") from None
    if start.tzinfo is None:
        raise AICFlowError("The instant has no time zone; end it with Z.")
    rows = preview(parsed, min(max(count, 1), 1_000), start)
    if output == "json":
        print(json.dumps(rows, indent=2))  # noqa: T201 - a command prints
        return 0
    for row in rows:
        mark = "" if row["kind"] == "fire" else f"[{row['kind']}] "
        print(f"{row['at']}  {row['local']}  {mark}{row['text']}".rstrip())  # noqa: T201 - a command prints
    return 0
