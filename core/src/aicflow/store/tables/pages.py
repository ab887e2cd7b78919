"""Pages of lists over tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nlargest

from aicflow.kernel.ports.executions import Page
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor


def page_of[R, T](
    kind: str,
    rows: Iterable[R],
    place: Callable[[R], tuple[int, int]],
    item: Callable[[R], T],
    *,
    limit: int,
    cursor: str | None,
) -> Page[T]:
    """The rows with the greatest places below the cursor's, as items."""
    check_limit(limit)
    if cursor is not None:
        before = tuple(read_cursor(kind, cursor, int, int))
        rows = (row for row in rows if place(row) < before)
    found = nlargest(limit + 1, rows, key=place)
    more = len(found) > limit
    return Page([item(row) for row in found[:limit]], make_cursor(kind, *place(found[limit - 1])) if more else None)
