"""Rates that several hosts share: how far the count may be off, and what becomes of it while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aicflow.host.shared_rates import SharedRates
from aicflow.kernel.errors import StoreUnavailable
from aicflow.rates import Asked, Granted, Grants, Rate, grant


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ledger:
    """A ledger in memory that can be away, or silent."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.kept: dict[tuple[str, str], Grants] = {}
        self.away = False
        self.silent = asyncio.Event()
        self.silent.set()
        self.calls = 0

    async def grant(self, asked: Sequence[Asked]) -> Sequence[Granted]:
        await self.silent.wait()
        if self.away:
            raise StoreUnavailable("The store is away.")
        self.calls += 1
        out = []
        for one in asked:
            name = one.rate.name, one.whose
            self.kept[name], granted = grant(self.kept.get(name, []), one, round(self.time() * 1_000_000))
            out.append(granted)
        return out


@asynccontextmanager
async def hosts(ledger: Ledger, many: int, patience: float = 60.0) -> AsyncIterator[list[SharedRates]]:
    made = [SharedRates(ledger, ledger.time, patience=patience) for _ in range(many)]
    for one in made:
        one.open()
    try:
        yield made
    finally:
        for one in made:
            await one.close()


async def passed(host: SharedRates, rate: Rate, times: int, whose: str = "a") -> int:
    return [(await host.take([(rate, whose)])).refused for _ in range(times)].count(None)


async def test_a_small_rate_is_exact_however_many_hosts() -> None:
    time = Time()
    rate = Rate("key", 20, 60)
    async with hosts(Ledger(time), 3) as three:
        assert [await passed(host, rate, 9) for host in three] == [9, 9, 2]
        refused = (await three[0].take([(rate, "a")])).refused
        assert refused is not None
        assert [await passed(host, rate, 5) for host in three] == [0, 0, 0]
        time.now += refused + 0.001
        assert sum([await passed(host, rate, 30) for host in three]) == 20
        assert await passed(three[1], rate, 5, "b") == 5


@pytest.mark.parametrize("turns", [1, 50, 700])
async def test_a_large_rate_is_off_by_two_hundredths_for_each_host_at_most(turns: int) -> None:
    time = Time()
    ledger = Ledger(time)
    rate = Rate("key", 3000, 60)
    async with hosts(ledger, 2) as two:
        count = 0
        for turn in range(8000 // turns):
            count += await passed(two[turn % 2], rate, turns)
        assert 3000 - 2 * 30 <= count <= 3000 + 2 * 60
        assert ledger.calls < 400, "one question for many requests"
        time.now += 61
        count = sum([await passed(host, rate, 4000) for host in two])
        assert 3000 - 2 * 30 <= count <= 3000 + 2 * 60


async def test_who_asks_seldom_never_waits_for_the_ledger() -> None:
    ledger = Ledger(Time())
    ledger.silent.clear()
    async with hosts(ledger, 1) as [host]:
        assert await passed(host, Rate("address", 60_000, 60), 250) == 250
        assert ledger.calls == 0


async def test_what_one_rate_refuses_costs_nothing_elsewhere() -> None:
    ledger = Ledger(Time())
    small, large = Rate("key", 5, 60), Rate("address", 90, 60)
    async with hosts(ledger, 1) as [host]:
        for _ in range(40):
            await host.take([(large, "x"), (small, "a")])
        assert await passed(host, large, 200, "x") == 85
        assert (await host.take([(large, "y")], test=True)).refused is None
        assert await passed(host, large, 200, "y") == 90, "a test takes nothing"


async def test_many_at_once_are_counted_right() -> None:
    ledger = Ledger(Time())
    rate = Rate("key", 40, 60)
    async with hosts(ledger, 2) as two:
        all_taken = await asyncio.gather(*(two[n % 2].take([(rate, "a")]) for n in range(300)))
        assert [one.refused for one in all_taken].count(None) in (39, 40)


async def test_requests_go_on_while_the_store_is_away_and_are_told_to_it_afterwards() -> None:
    ledger = Ledger(Time())
    rate = Rate("key", 50, 60)
    async with hosts(ledger, 2) as two:
        assert await passed(two[0], rate, 10) == 10
        ledger.away = True
        assert [await passed(host, rate, 60) for host in two] == [40, 50], "each counts for itself"
        ledger.away = False
        async with asyncio.timeout(10):
            while any(host._away for host in two):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert [await passed(host, rate, 5) for host in two] == [0, 0]
        ledger.time.now += 61
        assert sum([await passed(host, rate, 60) for host in two]) == 50


async def test_a_silent_store_holds_up_a_request_for_a_moment_once() -> None:
    ledger = Ledger(Time())
    ledger.silent.clear()
    async with hosts(ledger, 1, patience=0.1) as [host]:
        async with asyncio.timeout(5):
            assert await passed(host, Rate("key", 50, 60), 50) == 50
        ledger.silent.set()
