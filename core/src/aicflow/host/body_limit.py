"""How large: request bodies are counted while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from aicflow.host.problems import Problem

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_DRAIN_BYTES: Final = 64 * 1024 * 1024
_DRAIN_SECONDS: Final = 10.0


class LimitedBody:
    """A request body, counted so that a chunked one cannot grow past the limit either."""

    __slots__ = ("_left", "_limit", "_receive", "_setting")

    def __init__(self, receive: Receive, limit: int, setting: str) -> None:
        self._setting = setting
        self._receive = receive
        self._limit = limit
        self._left = limit

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message. Raises Problem when the body grows past the limit."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                if message.get("more_body", False):
                    await self.drain()
                raise too_large(self._limit, self._setting)
        return message

    async def drain(self) -> None:
        """Read what the client still sends, up to a bound: most clients read the answer only when they are done
        sending, and closing in their face would lose it."""
        taken = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while taken < _DRAIN_BYTES:
                    message = await self._receive()
                    taken += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return


def too_large(limit: int, setting: str) -> Problem:
    """What a body larger than this is answered with; `setting` is the limit's name."""
    return Problem(
        "file-too-large" if setting == "MAX_FILE_BYTES" else "body-too-large",
        f"The body is larger than {limit:,} bytes.",
        hint=f"The operator can raise AICFLOW_{setting}.",
        headers={"connection": "close"},
    )
