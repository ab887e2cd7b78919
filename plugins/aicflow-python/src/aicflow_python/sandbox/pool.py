"""The children of one environment: a few sealed in advance, more on request."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from .child import Child
from .outcomes import SandboxUnavailable
from .port import Environment
from .zygote_client import Zygote, ZygoteOptions

__all__ = ["Pool"]

log: Final = logging.getLogger(__name__)


class Pool:
    """Keeps `warm` spare children. The zygote is started again when it has died."""

    def __init__(
        self,
        environment: Environment,
        options: ZygoteOptions,
        *,
        warm: int,
        required: Iterable[str],
        on_dead: Callable[[Child], None],
    ) -> None:
        self.environment = environment
        self.layers: dict[str, str] = {}
        self._options = options
        self._warm = warm
        self._required = frozenset(required)
        self._on_dead = on_dead
        self._zygote: Zygote | None = None
        self._starting = asyncio.Lock()
        self._spares: deque[Child] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the zygote and fill the pool. Raises SandboxUnavailable."""
        for _ in range(max(1, self._warm)):
            self._spares.append(await self._spawn())

    async def take(self) -> Child:
        """A sealed child that has run nothing. Raises SandboxUnavailable."""
        while self._spares:
            child = self._spares.popleft()
            if not child.dead:
                self._fill()
                return child
        child = await self._spawn()
        self._fill()
        return child

    def forget(self, child: Child) -> None:
        """A child has ended; if it was a spare, make another."""
        if child in self._spares:
            self._spares.remove(child)
            self._fill()

    async def close(self) -> None:
        """End the zygote and every child of it."""
        self._closed = True
        if self._refill:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        for child in tuple(self._spares):
            child.kill()
        async with self._starting:
            if self._zygote:
                await self._zygote.close()
                self._zygote = None

    @property
    def alive(self) -> bool:
        """Whether there is a zygote to ask."""
        return self._zygote is not None and not self._zygote.dead

    async def _spawn(self) -> Child:
        async with self._starting:
            if self._closed:
                raise SandboxUnavailable("The sandbox is closed.")
            if self._zygote and self._zygote.dead:
                await self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await Zygote.start(self._options, self._on_dead)
            zygote = self._zygote
        child, layers = await zygote.spawn()
        missing = sorted(self._required - layers.keys())
        if missing:
            child.kill()
            raise SandboxUnavailable(
                f"This machine does not offer the protection {', '.join(missing)}, which the sandbox requires; "
                f"active: {', '.join(sorted(layers)) or 'none'}. Nothing was run."
            )
        self.layers = layers
        return child

    def _fill(self) -> None:
        if self._refill is None and not self._closed and len(self._spares) < self._warm:
            self._refill = asyncio.get_running_loop().create_task(self._fill_up())

    async def _fill_up(self) -> None:
        try:
            while len(self._spares) < self._warm:
                self._spares.append(await self._spawn())
        except SandboxUnavailable as error:
            log.warning("no spare sandbox could be made: %s", error)
        finally:
            self._refill = None
