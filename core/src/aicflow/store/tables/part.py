"""What the parts of a store over tables share: a write returns once the store has committed it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from functools import wraps
from typing import Any, Concatenate

from aicflow.kernel.ports.executions import Created
from aicflow.kernel.values import dumps

type Table = MutableMapping[str, Any]
"""Rows by their keys. A row that was changed is assigned again, so that a table may keep it anywhere."""


class Part:
    """One part of a store over tables."""

    def __init__(self, commit: Callable[[], Awaitable[None]]) -> None:
        self.commit = commit


def writes[S: Part, **P, R](
    method: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A method that writes: it awaits nothing before its last line, so it is a transaction, which is committed here."""

    @wraps(method)
    async def write(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result = await method(self, *args, **kwargs)
        if not (isinstance(result, Created) and result.duplicate):  # then nothing was written
            await self.commit()
        return result

    return write


def key_of(*parts: str) -> str:
    """One key for several texts."""
    return dumps(parts).decode()
