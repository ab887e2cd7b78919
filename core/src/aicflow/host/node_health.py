"""The health of node types: checked side by side, in bounded time, one check of a type at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aicflow.kernel.node import Node, NodeType
from aicflow.kernel.registry import Registry
from aicflow.kernel.values import dumps, loads

_UNKNOWN: Final[dict[str, Any]] = {"ready": None, "reason": "it has not answered yet"}
_log = logging.getLogger("aicflow.host")

type Check = Callable[[NodeType], Awaitable[Mapping[str, Any] | None]]


class NodeHealth:
    """Checks the enabled node types that have a `health` of their own. A check that takes too long goes on, and its
    result is there next time; so a type runs one check at a time, however often results are asked for."""

    def __init__(self, registry: Registry, check: Check) -> None:
        self._registry = registry
        self._check = check
        self._tasks: dict[NodeType, asyncio.Task[None]] = {}
        self._results: dict[NodeType, dict[str, Any] | None] = {}

    async def results(self, seconds: float = 0.5) -> dict[str, dict[str, Any]]:
        """By type id, what each reports: `ready` is always there, null while nothing is known, and `reason` when it is
        false. Waits no longer than `seconds` seconds. Raises nothing for what a type does."""
        nodes = [node for node in self._registry.nodes() if node.setting.enabled]
        tasks = {node.cls: self._task_of(node.cls) for node in nodes if node.cls.health is not Node.health}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=seconds)
        return {cls.type_id: result for cls in tasks if (result := self._results.get(cls, _UNKNOWN)) is not None}

    def _task_of(self, cls: NodeType) -> asyncio.Task[None]:
        task = self._tasks.get(cls)
        if task is None or task.done():
            task = self._tasks[cls] = asyncio.create_task(self._refresh(cls))
        return task

    async def close(self) -> None:
        """Cancel checks under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self, cls: NodeType) -> None:
        before = self._results.get(cls)
        try:
            reported = await self._check(cls)
            now = loads(dumps(dict(reported))) if reported is not None else None
            if now is not None:
                now["ready"] = bool(now.get("ready", True))
        except Exception as error:
            _log.warning("%s.health failed", cls.type_id, exc_info=True)
            now = {"ready": False, "reason": f"its health check failed: {type(error).__name__}"}
        self._results[cls] = now
        _log_change(cls.type_id, before, now)


def _log_change(type_id: str, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> None:
    """Log when a type becomes unready and when it is well again, not at every check."""
    was, well = (result is None or bool(result["ready"]) for result in (before, now))
    if was and not well:
        _log.warning("%s cannot run here: %s", type_id, (now or {}).get("reason") or "it does not say why")
    elif well and not was:
        _log.info("%s can run again.", type_id)
