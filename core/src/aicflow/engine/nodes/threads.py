"""Threads for blocking nodes: so many at once, interrupted when cancelled, never waited for at the end."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any


class Interruption(SystemExit):
    """Raised inside blocking node code whose step was cancelled. A SystemExit, so that `except Exception` does not
    take it and a thread that it reaches at its very end ends quietly."""


class _Worker:
    """One thread. A daemon: a node that never returns must not keep the process from ending."""

    __slots__ = ("_ended", "_ident", "_inbox", "_leave", "_lock")

    def __init__(self) -> None:
        self._inbox: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._leave = self._ended = False
        self._lock = Lock()
        thread = Thread(target=self._run, name="aicflow-node", daemon=True)
        thread.start()
        self._ident = thread.ident

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._inbox.put((call, future))
        return future

    def dismiss(self) -> None:
        """End it once it is idle."""
        self._leave = True
        self._inbox.put(None)

    def interrupt(self) -> None:
        """Raise Interruption in what it runs, before its next bytecode; then it ends. A call into C returns first."""
        self.dismiss()
        with self._lock:
            if not self._ended:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._ident or 0), ctypes.py_object(Interruption)
                )

    def _run(self) -> None:
        try:
            try:
                self._serve()
            finally:
                with self._lock:  # what is raised here by an interruption is raised by now
                    self._ended = True
        except Interruption:
            return

    def _serve(self) -> None:
        while not self._leave and (job := self._inbox.get()) is not None:
            call, future = job
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except StopIteration as stop:  # a future cannot carry it
                error = RuntimeError(f"the node raised StopIteration({stop.value!r})")
            except BaseException as raised:
                error = raised
            try:
                future.get_loop().call_soon_threadsafe(_resolve, future, result, error)
            except RuntimeError:
                return  # the loop is closed: nothing waits for the result
            del job, call, future, result, error


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class BlockingCalls:
    """Runs plain functions beside the event loop, at most `limit` at once. A call that is cancelled is interrupted and
    frees its place at once, though a long call into C may keep its thread for a while."""

    def __init__(self, limit: int) -> None:
        self._places = asyncio.Semaphore(limit)
        self._idle: list[_Worker] = []

    async def run(self, call: Callable[[], Any], on_cancel: Callable[[], None]) -> Any:
        """The result of `call`. `on_cancel` is called before the interruption."""
        async with self._places:
            worker = self._idle.pop() if self._idle else _Worker()
            try:
                result = await worker.submit(call)
            except asyncio.CancelledError:
                on_cancel()
                worker.interrupt()
                raise
            except BaseException:
                self._idle.append(worker)
                raise
            self._idle.append(worker)
            return result

    def close(self) -> None:
        """Let idle threads end."""
        while self._idle:
            self._idle.pop().dismiss()
