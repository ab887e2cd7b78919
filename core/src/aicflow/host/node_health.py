"""What node types say of themselves, for health checks: asked side by side, in bounded time, one question at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aicflow.kernel.node import Node, NodeType
from aicflow.kernel.registry import Registry
from aicflow.kernel.values import dumps, loads

__all__ = ["NodeHealth"]

_UNKNOWN: Final[dict[str, Any]] = {"ready": None, "reason": "it has not answered yet"}
_log = logging.getLogger("aicflow.host")

type Ask = Callable[[NodeType], Awaitable[Mapping[str, Any] | None]]


class NodeHealth:
    """Asks the enabled node types that have a `health` of their own. A question that takes too long goes on, and its
    answer is there next time; so however often and impatiently someone asks, a type works on one question."""

    def __init__(self, registry: Registry, ask: Ask) -> None:
        self._registry = registry
        self._ask = ask
        self._open: dict[NodeType, asyncio.Task[None]] = {}
        self._said: dict[NodeType, dict[str, Any] | None] = {}

    async def look(self, patience: float = 0.5) -> dict[str, dict[str, Any]]:
        """By type id, what each says: `ready` is always there, null while nothing is known, and `reason` when it is
        false. Waits no longer than `patience` seconds. Raises nothing for what a type does."""
        nodes = [node for node in self._registry.nodes() if node.setting.enabled]
        tasks = {node.cls: self._question(node.cls) for node in nodes if node.cls.health is not Node.health}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=patience)
        return {cls.type_id: said for cls in tasks if (said := self._said.get(cls, _UNKNOWN)) is not None}

    def _question(self, cls: NodeType) -> asyncio.Task[None]:
        task = self._open.get(cls)
        if task is None or task.done():
            task = self._open[cls] = asyncio.create_task(self._answer(cls))
        return task

    async def close(self) -> None:
        """Leave open questions."""
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, cls: NodeType) -> None:
        before = self._said.get(cls)
        try:
            said = await self._ask(cls)
            told: dict[str, Any] | None = loads(dumps(dict(said))) if said is not None else None
            now = {**told, "ready": bool(told.get("ready", True))} if told is not None else None
        except Exception as error:
            _log.warning("%s.health failed", cls.type_id, exc_info=True)
            now = {"ready": False, "reason": f"its health check failed: {type(error).__name__}"}
        self._said[cls] = now
        _note(cls.type_id, before, now)


def _note(type_id: str, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> None:
    """Log when a type becomes unready and when it is well again, not every time someone looks."""
    was, well = (said is None or bool(said["ready"]) for said in (before, now))
    if was and not well:
        _log.warning("%s cannot run here: %s", type_id, (now or {}).get("reason") or "it does not say why")
    elif well and not was:
        _log.info("%s can run again.", type_id)
