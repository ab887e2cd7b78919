"""What a map runs over: its list, in batches where it has them, and what tells the items apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aicflow.engine.nodes.params import resolved, step_params
from aicflow.kernel.document import Map
from aicflow.kernel.errors import PermanentError
from aicflow.language.plan import PlannedNode

_YIELD_EVERY = 1_000


async def read_items(
    node: PlannedNode, scope: Mapping[str, Any], reveal: Callable[[str], str]
) -> tuple[Sequence[Any], list[str | float] | None]:
    """The items of the map, and their keys where it has keys. Raises NodeError."""
    body = node.body
    assert body is not None
    assert isinstance(body.entry, Map)
    entry, rule = body.entry, body.rule
    over = step_params(node, scope, reveal).over  # type: ignore[attr-defined]
    if len(over) > entry.max_items:
        raise PermanentError(
            f"The list has {len(over):,} items, more than max_items: {entry.max_items:,}.",
            code="too-many-items",
            hint="Raise max_items, or make the list smaller.",
        )
    size = entry.batch
    items = over if size == 1 else [over[at : at + size] for at in range(0, len(over), size)]
    if rule is None:
        return items, None
    keys: list[str | float] = []
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        if index % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        key = resolved(rule, {**scope, entry.as_: item, "index": index}, None, "key")
        if not isinstance(key, str | int | float) or isinstance(key, bool):
            raise PermanentError(f"The key of item {index} is neither text nor a number.", pointer="/key")
        if seen.setdefault(str(key), index) != index:
            raise PermanentError(
                f"Items {seen[str(key)]} and {index} have the same key {key!r}.",
                code="duplicate-key",
                hint="A key must be unique; leave it out to tell items apart by their index.",
            )
        keys.append(key)
    return items, keys
