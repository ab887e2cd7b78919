"""Work on files beside the event loop: in a few threads of their own, one bounded step after another."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import PurePath
from typing import Any


@cache
def _threads() -> ThreadPoolExecutor:
    """Not the loop's own, which others need for quick things."""
    return ThreadPoolExecutor(4, thread_name_prefix="aicflow-files")


async def in_thread[T](work: Callable[[], T]) -> T:
    """Do it in a thread. Cancelled, it goes on there by itself: only for what is soon done."""
    return await asyncio.wrap_future(_threads().submit(work))


@asynccontextmanager
async def steps[T](iterator: Iterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """What a generator yields, each step taken in a thread. Left early, the generator is closed when the step that it
    is in has ended."""
    running: Future[Any] | None = None
    end = object()

    async def taken() -> AsyncIterator[T]:
        nonlocal running
        while True:
            running = _threads().submit(next, iterator, end)
            if (step := await asyncio.wrap_future(running)) is end:
                return
            yield step

    try:
        yield taken()
    finally:
        if close := getattr(iterator, "close", None):
            if running is None:
                close()
            else:
                running.add_done_callback(lambda _: _threads().submit(close))


def named(name: str | None, source: str | None, ending: str) -> tuple[str, str]:
    """The name of a new file, and its type: the one that was asked for, or the source's with another ending."""
    chosen = name or (PurePath(source).stem if source else "file") + ending
    return chosen, mimetypes.guess_type(chosen)[0] or "application/octet-stream"
