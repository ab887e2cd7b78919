"""Starting slow node types in the background after the server's start, so that no step waits for their imports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.node import NodeType
from aicflow.kernel.ports.workflows import WorkflowStore
from aicflow.kernel.registry import Registry

_log = logging.getLogger("aicflow.host")


class WarmUp:
    """Starts the types that say `start_early` and that an enabled workflow uses, one after the other."""

    def __init__(
        self, workflows: WorkflowStore, registry: Registry, start: Callable[[NodeType], Awaitable[Any]]
    ) -> None:
        self._workflows = workflows
        self._registry = registry
        self._start = start
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Call when the server is ready: imports take the time of whatever else runs."""
        self._task = asyncio.create_task(self._run(), name="aicflow-warm-up")

    async def stop(self) -> None:
        """Leave the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        early = [node.cls for node in self._registry.nodes() if node.cls.start_early and node.setting.enabled]
        if not early:
            return
        try:
            used = {name for one in await self._workflows.active() for name in _types(one.document.get("nodes"))}
        except AICFlowError as error:
            _log.info("No node type is started early: %s", error)
            return
        for cls in early:
            if cls.type_id in used:
                try:
                    await self._start(cls)
                except Exception as error:  # the first step says so
                    _log.info("%s could not be started early: %s: %s", cls.type_id, type(error).__name__, error)


def _types(nodes: Iterable[Mapping[str, Any]] | None) -> Iterator[str]:
    for node in nodes or ():
        if isinstance(node.get("type"), str):
            yield node["type"]
        for kind in ("map", "repeat", "group"):
            if isinstance(node.get(kind), Mapping):
                yield from _types(node[kind].get("nodes"))
