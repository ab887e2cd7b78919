"""Running programs: the only two places that do I/O, one blocking and one with asyncio. They decide nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection as AsyncSocket
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect

from aicflow_sdk.call import Call
from aicflow_sdk.effects import Effect, Emit, Now, Open, Opened, Outcome, Program, Receive, Send, Silence, Sleep
from aicflow_sdk.programs import Toolbox
from aicflow_sdk.replies import Reply
from aicflow_sdk.wire import LOST, SOCKET_ERRORS, Wire, closed

__all__ = ["AsyncRunner", "Runner"]


class Runner:
    """Runs programs by blocking."""

    def __init__(self, wire: Wire, http: httpx2.Client, tools: Toolbox) -> None:
        self.wire = wire
        self.http = http
        self.tools = tools

    def run[T](self, program: Program[T]) -> T:
        """Run to the end; gives what the program gives."""
        steps = self.iterate(program)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def iterate[T](self, program: Program[T]) -> Generator[Any, None, T]:
        """Run, yielding what the program emits."""
        outcome: Outcome = None
        with ExitStack() as stack:
            stack.callback(program.close)
            line = stack.enter_context(_Line(self.wire))
            while True:
                try:
                    effect = program.send(outcome)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                if isinstance(effect, Emit):
                    outcome = None
                    yield effect.item
                else:
                    outcome = self._do(effect, line)

    def _do(self, effect: Effect, line: _Line) -> Outcome:
        match effect:
            case Send(call):
                return self._send(call)
            case Sleep(seconds):
                time.sleep(seconds)
            case Now():
                return time.monotonic()
            case Open(path):
                return line.open(path)
            case Receive(timeout):
                return line.receive(timeout)
        return None

    def _send(self, call: Call[Any]) -> Outcome:
        try:
            answer = self.http.request(**self.wire.request(call))
        except httpx2.RequestError as error:
            return self.wire.unreached(error)
        return Reply(answer.status_code, _headers(answer), answer.content)


class _Line:
    """At most one open stream."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stack = ExitStack()
        self._socket: Socket | None = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket = None
        self._stack.close()

    def open(self, path: str) -> Outcome:
        self._socket = None
        self._stack.close()
        address, options = self._wire.socket(path)
        try:
            self._socket = self._stack.enter_context(connect(address, **options))
        except SOCKET_ERRORS as error:
            return self._wire.unopened(error)
        return Opened()

    def receive(self, timeout: float | None) -> Outcome:
        if self._socket is None:
            return LOST
        try:
            message = self._socket.recv(timeout)
        except TimeoutError:
            return Silence()
        except ConnectionClosed as error:
            return closed(error)
        return message if isinstance(message, str) else message.decode("utf-8", "replace")


class AsyncRunner:
    """Runs programs with asyncio."""

    def __init__(self, wire: Wire, http: httpx2.AsyncClient, tools: Toolbox) -> None:
        self.wire = wire
        self.http = http
        self.tools = tools

    async def run[T](self, program: Program[T]) -> T:
        """Run to the end; gives what the program gives."""
        result: list[T] = []
        async for _ in self.iterate(_ending_in(program, result)):
            pass
        return result[0]

    async def iterate(self, program: Program[Any]) -> AsyncGenerator[Any]:
        """Run, yielding what the program emits."""
        outcome: Outcome = None
        async with AsyncExitStack() as stack:
            stack.callback(program.close)
            line = await stack.enter_async_context(_AsyncLine(self.wire))
            while True:
                try:
                    effect = program.send(outcome)
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    outcome = None
                    yield effect.item
                else:
                    outcome = await self._do(effect, line)

    async def _do(self, effect: Effect, line: _AsyncLine) -> Outcome:
        match effect:
            case Send(call):
                return await self._send(call)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Now():
                return time.monotonic()
            case Open(path):
                return await line.open(path)
            case Receive(timeout):
                return await line.receive(timeout)
        return None

    async def _send(self, call: Call[Any]) -> Outcome:
        try:
            answer = await self.http.request(**self.wire.request(call))
        except httpx2.RequestError as error:
            return self.wire.unreached(error)
        return Reply(answer.status_code, _headers(answer), answer.content)


class _AsyncLine:
    """At most one open stream."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stack = AsyncExitStack()
        self._socket: AsyncSocket | None = None

    async def __aenter__(self) -> _AsyncLine:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket = None
        await self._stack.aclose()

    async def open(self, path: str) -> Outcome:
        self._socket = None
        await self._stack.aclose()
        address, options = self._wire.socket(path)
        try:
            self._socket = await self._stack.enter_async_context(async_connect(address, **options))
        except SOCKET_ERRORS as error:
            return self._wire.unopened(error)
        return Opened()

    async def receive(self, timeout: float | None) -> Outcome:
        if self._socket is None:
            return LOST
        try:
            async with asyncio.timeout(timeout):
                message = await self._socket.recv()
        except TimeoutError:
            return Silence()
        except ConnectionClosed as error:
            return closed(error)
        return message if isinstance(message, str) else message.decode("utf-8", "replace")


def _ending_in[T](program: Program[T], result: list[T]) -> Program[None]:
    """The program, leaving its result in the list: an async generator cannot give one."""
    result.append((yield from program))


def _headers(answer: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}
