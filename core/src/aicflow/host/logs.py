"""The server's log: whatever is logged becomes lines that cannot be forged, without secrets; libraries are quiet."""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Final

from aicflow.engine.masking import Mask

# what moves the cursor, ends a line for some reader, or turns the direction of writing
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


CURRENT: Final[ContextVar[str]] = ContextVar("aicflow_request", default="")
"""The id of the request that is being answered, or that began what goes on now."""


class LogFormatter(logging.Formatter):
    """One line a message, with control characters escaped; the lines of a traceback follow, each behind a bar."""

    def __init__(self, format: str) -> None:
        super().__init__(format)
        self.mask = Mask()

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        if (request_id := CURRENT.get()) and request_id not in record.message:
            record.message += f" [{request_id}]"
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        message = self.mask.text(self.formatMessage(record))
        # a stack that the watchdog reports has lines of its own
        first, *more = message.splitlines() if getattr(record, "stack", False) else [message]
        lines = [_one_line(first), *(f"  | {_one_line(line)}" for line in more)]
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        for text in (trace, record.stack_info or ""):
            lines += [f"  | {_one_line(line)}" for line in self.mask.text(text).splitlines()]
        return "\n".join(lines)


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def set_up_logging(level: str, format: str) -> None:
    """Log to stderr: AIC Flow and its plugins from `level` on, everybody else's libraries from WARNING on. Nothing is
    changed when the process logs already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(format))
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[handler])
    for name in {"aicflow", *(point.module.partition(".")[0] for point in entry_points(group="aicflow"))}:
        logging.getLogger(name).setLevel(least)


def mask_logs(mask: Mask) -> None:
    """Hide these secrets in what is logged from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, LogFormatter):
            handler.formatter.mask = mask
