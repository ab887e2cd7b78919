"""Showing an execution while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from aicflow.events import progress_text

if TYPE_CHECKING:
    from rich.table import Table

_STYLES: Final = {
    "running": "cyan",
    "waiting": "yellow",
    "retrying": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "red",
    "skipped": "dim",
    "": "dim",
}
_MOST_ROWS: Final = 40
_MOST_TOLD: Final = 5
"""Failures, and questions, inside of a map that get a line each."""
_HERE: Final = "which only a server takes (Ctrl-C cancels)"


class Progress(Protocol):
    """Something that receives each event."""

    def event(self, event: dict[str, Any]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress(node_ids: Sequence[str], answered_by: str = _HERE) -> Progress:
    """What suits standard error; `answered_by` is called with a step that waits for a person."""
    return LiveTable(node_ids, answered_by) if sys.stderr.isatty() else Lines(answered_by)


class NoProgress:
    """Shows nothing."""

    def event(self, event: dict[str, Any]) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Lines(NoProgress):
    """A line for each event that matters to a person. Of what is inside of maps and repeats: how far they are, at most
    once a second, what the steps logged, and the first failures and questions."""

    def __init__(self, answered_by: str = _HERE) -> None:
        self._answered_by = answered_by
        self._told: dict[tuple[str, str], int] = {}
        self._progress: dict[str, datetime] = {}

    def event(self, event: dict[str, Any]) -> None:
        """Print the event's line."""
        text = _line(event, self._answered_by) if self._matters(event) else None
        if text:
            print(text, file=sys.stderr, flush=True)

    def _matters(self, event: dict[str, Any]) -> bool:
        kind, step_id = event["type"], event.get("node_id", "")
        if kind == "step.progress":
            now, data = datetime.fromisoformat(event["time"]), event["data"]
            last = self._progress.get(step_id)
            if last is not None and (now - last).total_seconds() < 1 and data.get("ended", -1) != data.get("count"):
                return False
            self._progress[step_id] = now
            return "[" not in step_id
        if "[" not in step_id or kind == "step.log":
            return True
        if kind != "step.failed" and not (kind == "step.waiting" and event["data"].get("reason") == "answer"):
            return False
        told = self._told[kind, step_id.partition("[")[0]] = self._told.get((kind, step_id.partition("[")[0]), 0) + 1
        return told <= _MOST_TOLD


def _line(event: dict[str, Any], answered_by: str) -> str | None:
    kind: str = event["type"]
    data = event["data"]
    if kind in ("step.delta", "execution.queued"):
        return None
    time = str(event.get("time", ""))[11:23]
    subject = event.get("node_id") or event["execution_id"]
    word = kind.partition(".")[2]
    if kind == "step.log":
        return f"{time} {subject}: {data.get('message', '')}"
    if kind == "step.progress":
        return f"{time} {subject}: {progress_text(data)}"
    more = ""
    if (event.get("attempt") or 1) > 1:
        more += f" (attempt {event['attempt']})"
    error = data.get("error")
    if isinstance(error, dict):
        more += f": {error.get('message', '')}"
    if kind == "step.waiting":
        more += f": {waits}" if (waits := _waits_for(data, answered_by)) else ""
    return f"{time} {subject} {word}{more}"


def _waits_for(data: dict[str, Any], answered_by: str) -> str:
    """What a person should know who watches a step wait."""
    if data.get("reason") != "answer":
        return ""
    asked = f": {data['message']}" if data.get("message") else ""
    return f"for an answer, {answered_by}{asked}"


class LiveTable:
    """The steps as a table that changes in place."""

    def __init__(self, node_ids: Sequence[str], answered_by: str = _HERE) -> None:
        from rich.live import Live

        from aicflow.cli.say import console

        self._rows: dict[str, dict[str, Any]] = {
            node_id: {"status": "", "started": None, "took": "", "note": ""} for node_id in node_ids
        }
        self._answered_by = answered_by
        self._status = "queued"
        self._live = Live(console=console(stderr=True), get_renderable=self._table, refresh_per_second=12)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.refresh()
        self._live.__exit__(kind, error, trace)

    def event(self, event: dict[str, Any]) -> None:
        """Change the table."""
        kind: str = event["type"]
        subject, _, word = kind.partition(".")
        if subject == "execution":
            self._status = {"started": "running", "resumed": "running"}.get(word, word)
            return
        step_id: str = event.get("node_id", "")
        row = self._rows.get(re.split(r"[.\[]", step_id, maxsplit=1)[0])
        if row is None:
            return
        data = event["data"]
        if step_id not in self._rows:  # inside of the row's step
            if word == "log" or (word == "waiting" and data.get("reason") == "answer"):
                text = str(data.get("message", "")) if word == "log" else _waits_for(data, self._answered_by)
                row["note"] = f"{step_id}: {text}"
            return
        if word == "progress":
            row["note"] = progress_text(data)
        elif word == "log":
            row["note"] = str(data.get("message", ""))
        elif word == "delta":
            row["note"] = (row["note"] + data)[-200:] if isinstance(data, str) else str(data)
        else:
            row["status"] = "running" if word == "started" else word
            if word == "started":
                row["started"] = row["started"] or event["time"]
                row["note"] = ""
            elif word == "waiting":
                row["note"] = _waits_for(data, self._answered_by)
            elif word in ("succeeded", "failed", "cancelled") and row["started"]:
                row["took"] = _seconds(row["started"], event["time"])
            error = data.get("error")
            if isinstance(error, dict):
                row["note"] = str(error.get("message", ""))

    def _table(self) -> Table:
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=self._status, title_justify="left", box=None, pad_edge=False)
        for head in ("step", "status", "took", ""):
            table.add_column(head, no_wrap=True, overflow="ellipsis")
        rows = list(self._rows.items())
        if len(rows) > _MOST_ROWS:  # what happens now matters more than what has not begun
            begun = [row for row in rows if row[1]["status"]]
            rows = begun[-_MOST_ROWS:] or rows[:_MOST_ROWS]
        for node_id, row in rows:
            style = _STYLES.get(row["status"], "")
            note = " ".join(row["note"].split())
            table.add_row(escape(node_id), f"[{style}]{row['status']}[/]" if style else "", row["took"], escape(note))
        if len(self._rows) > _MOST_ROWS:
            done = sum(1 for row in self._rows.values() if row["status"] in ("succeeded", "skipped"))
            table.caption = f"{done} of {len(self._rows)} steps done"
        return table


def _seconds(start: str, end: str) -> str:
    took = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return f"{took:.2f} s" if took < 100 else f"{took:.0f} s"
