"""Connection pools, shared by all steps of a process: one for each TLS and proxy configuration."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aicflow.net import Guard, Pool, ProxyChoice, public_context

from aicflow_http.params import Tls
from aicflow_http.tls import tls_context

__all__ = ["Clients"]

_MOST_POOLS = 64


@dataclass(slots=True)
class _Pool:
    connections: Pool
    users: int = 0


class Clients:
    """Opens pools when they are first needed and closes the longest unused ones beyond a bound."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._pools: OrderedDict[bytes, _Pool] = OrderedDict()

    async def warm_up(self) -> None:
        """Read the public certificate authorities, which takes tens of milliseconds, off the event loop."""
        await asyncio.to_thread(public_context)

    @asynccontextmanager
    async def pool(self, tls: Tls | None, proxy: ProxyChoice | None) -> AsyncIterator[Pool]:
        """The pool for a configuration, kept open while it is used. Raises PermanentError for certificates that cannot
        be read."""
        key = _key(tls, proxy)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(Pool(self._guard, tls_context(tls), proxy))
        self._pools.move_to_end(key)
        pool.users += 1
        try:
            yield pool.connections
        finally:
            pool.users -= 1
            await self._shrink()

    async def close(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            await pool.connections.aclose()

    async def _shrink(self) -> None:
        spare = len(self._pools) - _MOST_POOLS
        for key in [key for key, pool in self._pools.items() if pool.users == 0][: max(spare, 0)]:
            await self._pools.pop(key).connections.aclose()


def _key(tls: Tls | None, proxy: ProxyChoice | None) -> bytes:
    """A digest, so that keys and passwords are not kept a second time."""
    digest = hashlib.sha256()
    for text in (
        tls.model_dump_json() if tls else "",
        proxy.url if proxy else "",
        str(proxy.operators if proxy else ""),
    ):
        data = text.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
