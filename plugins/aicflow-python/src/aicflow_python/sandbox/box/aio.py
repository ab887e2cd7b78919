"""An event loop without descriptors: timers and tasks, nothing else. It lets sealed code await."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn


class NothingToAwait(RuntimeError):
    """Every task waits for something that can never happen."""


class Sleeper:
    """What the loop believes to be a selector: there is nothing to select, only time to pass."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingToAwait(
                "The code waits for something that can never happen: no task is ready and no timer is set."
            )
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self) -> None:
        """Nothing to close."""


class BoxLoop(asyncio.BaseEventLoop):
    """Runs coroutines, tasks, timers. Threads and connections are refused in words."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = Sleeper()
        self.main: Coroutine[Any, Any, Any] | None = None

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("There are no threads in the sandbox; call the function directly.")

    def waiting_frame(self) -> FrameType | None:
        """The frame in which the main coroutine stands; for telling the line at which a limit struck."""
        return getattr(self.main, "cr_frame", None)


def run_coroutine(loop: BoxLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end, then cancel what the code left behind, as `asyncio.run` does."""
    loop.main = coroutine
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        try:
            leftover = asyncio.all_tasks(loop)
            for task in leftover:
                task.cancel()
            if leftover:
                loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


class BoxPolicy(asyncio.DefaultEventLoopPolicy):
    """Lets `asyncio.run` work for authors who write it."""

    def new_event_loop(self) -> BoxLoop:
        return BoxLoop()


def settle_asyncio() -> None:
    """Make this the only kind of loop."""
    asyncio.set_event_loop_policy(BoxPolicy())
