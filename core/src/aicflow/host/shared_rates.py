"""Requests counted for several hosts, by a ledger that they share, without asking it for each request.

A host takes what it is about to let in from the ledger in batches of a hundredth of the quota, ahead of need, and has
the first batch in a window before it asks. So for each host at most two hundredths of the quota pass too many, or one
too few. A rate below 100 is taken one by one: at most one too many for each host. While the ledger does not answer,
each host counts for itself, and tells the ledger afterwards."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from aicflow.host.rates import MemoryRates
from aicflow.rates import Asked, Rate, RateLedger, Taken, Wanted

_PATIENCE: Final = 1.0
"""Seconds that a request waits for the ledger at most."""
_PAUSE: Final = 1.0
_MOST_AT_ONCE: Final = 200
_MOST: Final = 200_000
_log = logging.getLogger("aicflow.host")


class _Share:
    """What this host may let in of one rate of somebody, until it has not asked for the length of a window."""

    __slots__ = ("left", "owed", "refused_until", "tokens", "until")

    def __init__(self, rate: Rate, now: float) -> None:
        batch = _batch(rate)
        self.tokens = self.owed = batch if batch > 1 else 0
        """`owed`: let in, or given as tokens, before the ledger knew."""
        self.left: int | None = None
        """What the ledger had left for everybody when it was asked last."""
        self.refused_until = 0.0
        self.until = now + rate.window

    def use(self) -> None:
        if self.tokens:
            self.tokens -= 1
        else:
            self.owed += 1


class SharedRates:
    """The `RateStore` of a host whose store has a ledger."""

    def __init__(
        self, ledger: RateLedger, clock: Callable[[], float] = time.monotonic, *, patience: float = _PATIENCE
    ) -> None:
        self._patience = patience
        self._ledger = ledger
        self._clock = clock
        self._own = MemoryRates(clock)
        self._shares: dict[Wanted, _Share] = {}
        self._asked: dict[Wanted, asyncio.Future[None]] = {}
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def open(self) -> None:
        """Begin to ask the ledger."""
        self._task = asyncio.create_task(self._run(), name="aicflow-rates")

    async def close(self) -> None:
        """Ask no more. What was taken and not used is lost until its window ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._away = True

    async def take(self, wanted: Sequence[Wanted], *, test: bool = False) -> Taken:
        """As `RateStore.take`. Waits only where a batch was used up sooner than the next one came."""
        await self._provide(wanted)
        now = self._clock()
        shares = [self._share(one, now) for one in wanted]
        waits = [0.0 if share.tokens or self._away else share.refused_until - now for share in shares]
        refused = max(waits, default=0.0)
        taken = await self._own.take(wanted, test=test or refused > 0)  # never waits: no request comes between
        if self._away:
            refused = taken.refused or 0.0
        if refused <= 0 and not test:
            for one, share in zip(wanted, shares, strict=True):
                share.use()
                batch = _batch(one[0])
                if batch > 1 and share.tokens <= batch // 2 and share.refused_until <= now and not self._away:
                    self._ask(one)  # ahead of need
        left = [
            (rate, more if share.left is None or self._away else share.left + share.tokens, seconds)
            for (rate, more, seconds), share in zip(taken.left, shares, strict=True)
        ]
        return Taken(left, refused if refused > 0 else None)

    def _share(self, wanted: Wanted, now: float) -> _Share:
        share = self._shares.get(wanted)
        if share is None or share.until <= now:
            if len(self._shares) >= _MOST:
                kept = [(one, kept) for one, kept in self._shares.items() if kept.until > now]
                self._shares = dict(kept[-_MOST // 2 :])
            share = self._shares[wanted] = _Share(wanted[0], now)
        return share

    def _ask(self, wanted: Wanted) -> asyncio.Future[None]:
        future = self._asked.get(wanted)
        if future is None:
            future = self._asked[wanted] = asyncio.get_running_loop().create_future()
            self._ready.set()
        return future

    async def _provide(self, wanted: Sequence[Wanted]) -> None:
        """Wait until each has a token or is refused, or the ledger does not answer."""
        until: float | None = None
        while not self._away:
            now = self._clock()
            missing = [
                one for one in wanted if not (share := self._share(one, now)).tokens and share.refused_until <= now
            ]
            if not missing:
                return
            until = until or time.monotonic() + self._patience
            if (patience := until - time.monotonic()) <= 0:
                self._leave("it takes too long")
                return
            await asyncio.wait([self._ask(one) for one in missing], timeout=patience)

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            names = list(self._asked)[:_MOST_AT_ONCE]
            if not names:
                self._ready.clear()
                continue
            settled = await self._settled(names)
            for one in names:
                self._asked.pop(one).set_result(None)
            if not settled:
                await asyncio.sleep(_PAUSE)
                for one in names:
                    self._ask(one)  # until it answers

    async def _settled(self, names: Sequence[Wanted]) -> bool:
        """Whether the ledger answered for these."""
        now = self._clock()
        asked: list[Asked] = []
        for one in names:
            share = self._share(one, now)
            asked.append(Asked(*one, share.owed, max(1, _batch(one[0]) - share.tokens)))
        try:
            answers = await self._ledger.grant(asked)
        except Exception as error:  # whatever it is, requests go on
            self._leave(str(error))
            return False
        now = self._clock()
        for one, entry, (granted, left, wait) in zip(names, asked, answers, strict=True):
            share = self._share(one, now)
            share.owed = max(0, share.owed - entry.used)
            share.tokens += granted
            share.left = left
            share.refused_until = 0.0 if granted else now + wait
            share.until = now + one[0].window
        if self._away:
            self._away = False
            _log.info("Rates are shared with the other hosts again.")
        return True

    def _leave(self, why: str) -> None:
        if not self._away:
            self._away = True
            _log.warning("Rates cannot be shared with the other hosts now, this host counts for itself: %s", why)


def _batch(rate: Rate) -> int:
    return max(1, rate.quota // 100)
