"""The concurrency limits of workflows, shared by all processes.

A workflow's line is worked out in memory, by `ConcurrencyLimiter`, from the rows of its executions. Whoever changes it
holds the workflow's row of `slot_books` and marks it: a line is read again when the mark is not this process's own last
one, because another has changed it since, or because a change of its own was rolled back."""

from __future__ import annotations

from collections.abc import Collection
from random import getrandbits

from aicflow.ports import ConcurrencyLimiter, limits_from_json, loads

from aicflow_postgres.database import Connection, fetch, send


class SlotBooks:
    """The lines that this process knows, each with its mark."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, ConcurrencyLimiter]] = {}
        self._limited: dict[str, str] = {}

    def note(self, execution_id: str, workflow_id: str) -> None:
        """The execution has limits. Its end is going to need its workflow's line."""
        self._limited[execution_id] = workflow_id

    def workflow_of(self, execution_id: str) -> str | None:
        """The workflow of an execution that is known to have limits."""
        return self._limited.get(execution_id)

    def ended(self, execution_id: str) -> None:
        self._limited.pop(execution_id, None)

    async def lock(self, connection: Connection, workflow_ids: Collection[str]) -> dict[str, ConcurrencyLimiter]:
        """The lines of these workflows, which nobody else changes until the transaction ends."""
        wanted = sorted(workflow_ids)
        if any(workflow_id not in self._known for workflow_id in wanted):
            await send(connection, _ADD, wanted)
        books: dict[str, ConcurrencyLimiter] = {}
        mark = getrandbits(62)
        for workflow_id, found in await fetch(connection, _LOCK, wanted, mark):
            known = self._known.get(workflow_id)
            if known is not None and known[0] == found:
                book = known[1]
            else:
                book = ConcurrencyLimiter()
                for id, priority, limits, admitted, cancelled in await fetch(connection, _LINE, workflow_id):
                    book.restore(id, priority, limits_from_json(loads(limits)), admitted=admitted, cancelled=cancelled)
            self._known[workflow_id] = (mark, book)
            books[workflow_id] = book
        return books


_ADD = "INSERT INTO slot_books SELECT unnest(%b::text[]), 0 ON CONFLICT DO NOTHING"
_LOCK = """
WITH l AS (SELECT workflow_id, mark FROM slot_books WHERE workflow_id = ANY(%b::text[]) ORDER BY workflow_id FOR UPDATE)
UPDATE slot_books AS b SET mark = %b FROM l WHERE b.workflow_id = l.workflow_id RETURNING b.workflow_id, l.mark
"""
_LINE = """
SELECT id, priority, limits, admitted, cancel_requested FROM executions
  WHERE workflow_id = %b AND limits IS NOT NULL AND finished_at IS NULL ORDER BY n
"""
