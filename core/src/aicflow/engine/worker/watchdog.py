"""Finds who blocks the event loop: a thread that looks at the loop's stack when the loop stops turning."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from aicflow.engine.nodes.pool import NodePool

_logger = logging.getLogger("aicflow.engine")
_INVOKE: Final[CodeType] = NodePool.invoke.__code__
_STACK_LINES: Final = 8
_STACK: Final = {"stack": True}  # to the log's formatter: lines of this message may stand below one another


class LoopWatchdog:
    """Logs each blockage once, with the node and the line that is running, and counts them by node type.

    `blocked` counts blockages by node type, `""` for those outside of nodes. `lag` is called on the loop about twice a
    second with how late the loop was, in seconds.
    """

    def __init__(
        self, *, threshold: float = 1.0, every: float = 0.5, lag: Callable[[float], None] | None = None
    ) -> None:
        self._threshold = threshold
        self._every = every
        self._lag = lag
        self._beat = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.blocked: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to watch the running loop, which must be the current thread's."""
        loop = asyncio.get_running_loop()
        self._beat = time.monotonic()
        self._timer = loop.call_later(self._every, self._turn, loop)
        self._thread = threading.Thread(
            target=self._watch, args=(threading.get_ident(),), name="aicflow-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        if self._lag is not None:
            self._lag(max(now - self._beat - self._every, 0.0))
        self._beat = now
        self._timer = loop.call_later(self._every, self._turn, loop)

    def _watch(self, thread: int) -> None:
        reported = 0.0  # the beat after which this blockage began
        while not self._stopping.wait(self._every):
            beat = self._beat
            late = time.monotonic() - beat - self._every
            frame = sys._current_frames().get(thread)
            if late > self._threshold and beat != reported and frame is not None:
                reported = beat
                self._report(late, frame)

    def _report(self, late: float, frame: FrameType) -> None:
        stack = "".join(traceback.format_stack(frame)[-_STACK_LINES:])
        call = _node_call(frame)
        if call is None:
            self.blocked[""] += 1
            _logger.warning("The event loop has been blocked for %.1f s:\n%s", late, stack, extra=_STACK)
            return
        cls, ctx = call["cls"], call["ctx"]
        self.blocked[cls.type_id] += 1
        _logger.warning(
            "Node %r of type %s blocks the event loop (%.1f s so far, execution %s): nothing else runs meanwhile. "
            "Write its `run` as a plain `def`, which runs in a thread, or await what takes long:\n%s",
            *(ctx.node_id, cls.type_id, late, ctx.execution_id, stack),
            extra=_STACK,
        )


def _node_call(frame: FrameType | None) -> dict[str, Any] | None:
    """The variables of the call that runs a node, when one is running."""
    while frame is not None:
        if frame.f_code is _INVOKE:
            return dict(frame.f_locals)
        frame = frame.f_back
    return None
