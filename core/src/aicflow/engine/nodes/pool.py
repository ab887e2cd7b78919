"""The node instances of this process: started when first needed, stopped at the end, called in the right place."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

from aicflow.engine.nodes.threads import BlockingCalls
from aicflow.kernel.context import Context
from aicflow.kernel.node import Node, NodeType, Params

_logger = logging.getLogger("aicflow.engine")
_STOP_SECONDS = 5.0


class _ThreadContext(Context, Protocol):
    """A context that can be handed to another thread."""

    def enter_thread(self) -> None: ...

    def cancel(self) -> None: ...


class NodePool:
    """One instance of each node type. Blocking nodes run in threads of their own pool, never on the event loop."""

    def __init__(self, threads: int, around: Callable[[Any], AbstractContextManager[None]] | None = None) -> None:
        self._around = around
        self._made: dict[NodeType, Node[Any, Any]] = {}
        self._ready: dict[NodeType, Node[Any, Any]] = {}
        self._starting: dict[NodeType, asyncio.Task[Node[Any, Any]]] = {}
        self._blocking: dict[NodeType, bool] = {}
        self._threads = BlockingCalls(threads)

    def is_blocking(self, cls: NodeType) -> bool:
        """Whether the type's `run` is a plain function."""
        known = self._blocking.get(cls)
        if known is None:
            known = self._blocking[cls] = not inspect.iscoroutinefunction(cls.run)
        return known

    async def get(self, cls: NodeType) -> Node[Any, Any]:
        """The instance, started. Concurrent first callers share one start; a failed start is tried again next time."""
        instance = self._ready.get(cls)
        if instance is not None:
            return instance
        task = self._starting.get(cls)
        if task is None:
            task = self._starting[cls] = asyncio.get_running_loop().create_task(self._start(cls))
        return await asyncio.shield(task)

    async def _start(self, cls: NodeType) -> Node[Any, Any]:
        try:
            instance = self._instance(cls)
            await instance.start()
            self._ready[cls] = instance
            return instance
        except BaseException:
            self._made.pop(cls, None)  # half open, perhaps: the next try begins with a new one
            raise
        finally:
            del self._starting[cls]

    def _instance(self, cls: NodeType) -> Node[Any, Any]:
        instance = self._made.get(cls)
        if instance is None:
            instance = self._made[cls] = cls()
        return instance

    async def health(self, cls: NodeType) -> Mapping[str, Any] | None:
        """What the type's instance says of itself, started or not. Raises what its `health` raises."""
        return await self._instance(cls).health()

    async def invoke(self, cls: NodeType, ctx: _ThreadContext, params: Params) -> Any:
        """Run one attempt. A blocking node that is cancelled sees `ctx.cancelled` and is interrupted before its next
        bytecode; whatever it returns afterwards is dropped."""
        instance = self._ready.get(cls) or await self.get(cls)
        blocking = self.is_blocking(cls)
        if self._around is None and not blocking:
            return await instance.run(ctx, params)
        with self._around(ctx) if self._around is not None else nullcontext():
            if not blocking:
                return await instance.run(ctx, params)
            ctx.enter_thread()
            call = partial(contextvars.copy_context().run, instance.run, ctx, params)
            return await self._threads.run(call, ctx.cancel)

    async def release(self, cls: NodeType, execution_id: str) -> None:
        """Let a type forget an execution. Its errors are logged."""
        instance = self._ready.get(cls)
        if instance is None or cls.release is Node.release:
            return
        try:
            await instance.release(execution_id)
        except Exception:
            _logger.exception("%s.release failed for execution %s", cls.type_id, execution_id)

    async def close(self) -> None:
        """Stop every instance."""
        for task in list(self._starting.values()):
            task.cancel()
        for cls, instance in self._ready.items():
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await instance.stop()
            except Exception:
                _logger.exception("%s.stop failed", cls.type_id)
        self._ready.clear()
        self._made.clear()
        self._threads.close()
