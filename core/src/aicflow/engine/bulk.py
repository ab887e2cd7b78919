"""Bulk actions: which executions one is about, and a result for each of them whatever happens to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError, KeyUsed
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.executions import ExecutionFilter, ExecutionStore, Idempotency
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import dumps, loads


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What came of one execution: the id of the new one when there is one, or why nothing could be done."""

    execution_id: str
    started: str | None = None
    error: AICFlowError | None = None


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What came of every execution, in order. `has_more`: there were more than the limit. `repeated`: the key was used
    before, and this call went on with the executions that were chosen then."""

    items: list[BulkItem]
    has_more: bool
    repeated: bool = False


async def in_bulk(
    store: Store,
    clock: Clock,
    where: ExecutionFilter,
    act: Callable[[str, Idempotency | None], Awaitable[BulkItem]],
    *,
    ended: bool,
    limit: int,
    idempotency: Idempotency | None,
) -> BulkOutcome:
    """Do something to up to `limit` executions that fit the filter and have ended, or have not.

    With a key, the choice is noted before the first is touched, and each item has a key of its own: a repeat goes on
    where a crash stopped the first call, and what was done is not done again. Raises KeyUsed when the key was used for
    another request."""
    ids, has_more = await _matching(store.executions, where, limit, ended=ended)
    repeated = False
    if idempotency is not None:
        try:
            await store.idempotency.use(idempotency, dumps([ids, has_more]).decode(), now=clock.now())
        except KeyUsed as used:
            if used.fingerprint != idempotency.fingerprint:
                raise
            ids, has_more = loads(used.result)
            repeated = True
    items: list[BulkItem] = []
    for execution_id in ids:
        key = None
        if idempotency is not None:
            key = Idempotency(f"{idempotency.scope}:item", f"{idempotency.key}:{execution_id}", idempotency.fingerprint)
        try:
            items.append(await act(execution_id, key))
        except AICFlowError as error:
            items.append(await _failed(store, execution_id, key, error))
    return BulkOutcome(items, has_more, repeated)


async def _failed(store: Store, execution_id: str, key: Idempotency | None, error: AICFlowError) -> BulkItem:
    """An item that failed now, unless it was done by an earlier call and only cannot be done again."""
    try:
        used = await store.idempotency.find(key.scope, key.key) if key is not None else None
    except AICFlowError:
        used = None
    return BulkItem(execution_id, error=error) if used is None else BulkItem(execution_id, used.result)


async def _matching(
    executions: ExecutionStore, where: ExecutionFilter, limit: int, *, ended: bool
) -> tuple[list[str], bool]:
    """Ids of up to `limit` executions that fit the filter and have ended, or have not; newest first. And whether
    there are more."""
    found: list[str] = []
    cursor: str | None = None
    while len(found) <= limit:
        page = await executions.list(where, limit=200, cursor=cursor)
        found.extend(one.id for one in page.items if (one.status in TERMINAL_STATUSES) is ended)
        cursor = page.next_cursor
        if cursor is None:
            break
    return found[:limit], len(found) > limit
