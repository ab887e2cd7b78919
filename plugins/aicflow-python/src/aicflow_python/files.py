"""The files of one call, between the sandbox and the execution: those among the inputs are read a block at a time, and
what the code writes goes straight on to where files are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow import Context, File
from pydantic import ValidationError

from aicflow_python.sandbox import LimitExceeded

MOST_OPEN: Final = 32
"""Files that a call makes at the same time."""


@dataclass(slots=True)
class Making:
    """A file that is being made: the blocks on their way, and the task that keeps them."""

    blocks: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(1))
    task: asyncio.Task[File] | None = None


class StepFiles:
    """Serves `Call.files` with the files of a step. `limit`: bytes of all that the call makes. Close it when the call
    has ended: what was not finished is dropped."""

    def __init__(self, ctx: Context, inputs: dict[str, Any], limit: int) -> None:
        self._files = ctx.files
        self._inputs = inputs
        self._known: dict[str, File] | None = None
        self._making: dict[int, Making] = {}
        self._limit = limit
        self._written = 0
        self._count = 0

    async def read(self, blob: str, start: int, size: int) -> bytes:
        """A part of a file among the inputs."""
        if self._known is None:
            self._known = {file.sha256: file for file in files_in(self._inputs)}
        file = self._known.get(blob)
        if file is None:
            raise OSError("the file is not among the inputs")
        end = min(start + size, file.size)
        if start >= end:
            return b""
        return b"".join([chunk async for chunk in self._files.read(file, start=start, end=end)])

    async def create(self, name: str, type: str | None) -> int:
        """Begin a file."""
        if len(self._making) >= MOST_OPEN:
            raise OSError(f"more than {MOST_OPEN} files are open; close some")
        making = Making()
        making.task = asyncio.get_running_loop().create_task(
            self._files.write(blocks(making), name=name, type=type or guessed(name))
        )
        self._count += 1
        self._making[self._count] = making
        return self._count

    async def write(self, number: int, data: bytes) -> None:
        """Add to it. Raises LimitExceeded, and what keeping it raises."""
        making = self._at(number)
        self._written += len(data)
        if self._written > self._limit:
            raise LimitExceeded("file_bytes", self._limit)
        await self._hand_over(making, data)

    async def finish(self, number: int) -> dict[str, Any]:
        """Keep it; its JSON form."""
        making = self._at(number)
        await self._hand_over(making, None)
        assert making.task is not None
        file = await making.task
        del self._making[number]
        return file.model_dump(mode="json")

    async def close(self) -> None:
        """Drop what is not finished."""
        if not self._making:
            return
        tasks = [making.task for making in self._making.values() if making.task is not None]
        self._making.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _at(self, number: int) -> Making:
        making = self._making.get(number)
        if making is None:
            raise OSError("there is no such file")
        return making

    async def _hand_over(self, making: Making, block: bytes | None) -> None:
        """Wait until the block is taken, or it is clear that none will be."""
        assert making.task is not None
        putting = asyncio.ensure_future(making.blocks.put(block))
        try:
            await asyncio.wait((putting, making.task), return_when=asyncio.FIRST_COMPLETED)
            if not putting.done():
                await making.task  # it has failed
        finally:
            putting.cancel()


async def blocks(making: Making) -> AsyncIterator[bytes]:
    """What the code writes, until it is complete."""
    while (block := await making.blocks.get()) is not None:
        yield block


def files_in(value: Any) -> Iterator[File]:
    """Every file in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("$blob"), str):
            try:
                yield File.model_validate(value)
            except ValidationError:
                return
        else:
            for part in value.values():
                yield from files_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from files_in(part)


def guessed(name: str) -> str | None:
    """The media type by the name's ending."""
    from mimetypes import guess_type

    return guess_type(name)[0]
