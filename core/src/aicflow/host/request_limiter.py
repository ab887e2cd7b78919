"""How often: what one request takes of the rates of its key and its address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aicflow.host.callers import Callers
from aicflow.host.keys import Caller
from aicflow.rates import Rate, RateStore, Wanted, refusal


class RequestLimiter:
    """The `Limiter` of one request."""

    __slots__ = ("_expected", "_rates", "_wrong", "address", "left")

    def __init__(self, rates: RateStore, address: str, wrong: Rate | None) -> None:
        self._rates = rates
        self._wrong = wrong
        self._expected: Sequence[Wanted] = ()
        self.address = address
        self.left: list[tuple[Rate, int, float]] = []
        """For the answer's headers."""

    async def test(self, *wanted: Wanted) -> None:
        """Raises Problem `rate-limited` when nothing is left; takes nothing."""
        if (taken := await self._rates.take(wanted, test=True)).refused is not None:
            raise refusal(taken)

    async def expect(self, wanted: Sequence[Wanted]) -> None:
        """As `test`; it is taken with what the app takes, or when the app answers. The app's own limits are tested
        together with these, so that a refused request takes nothing."""
        await self.test(*wanted)
        self._expected = wanted

    async def take(self, *wanted: Wanted) -> None:
        """As `Limiter.take`."""
        wanted, self._expected = (*self._expected, *wanted), ()
        if not wanted:
            return
        taken = await self._rates.take(wanted)
        self.left += taken.left
        if taken.refused is not None:
            raise refusal(taken)

    async def caller(
        self, callers: Callers, key: str, *more: Wanted, how: Callable[[str], Awaitable[Caller | None]] | None = None
    ) -> Caller | None:
        """Who has the key, token, ticket or session; `how` looks it up. One that is wrong is counted as such, and
        against `more`. Raises Problem `rate-limited`, before the key is looked up, when the address has sent too many
        wrong ones: but for keys that were right before, or whoever guesses would lock out the others behind the same
        address."""
        wrong = [(self._wrong, self.address)] if self._wrong is not None else []
        if wrong and not callers.remembers(key):
            await self.test(*wrong)
        caller = await (how or callers.caller)(key)
        if caller is None:
            await self.take(*wrong, *more)
        return caller

    async def expect_right(self, what: str) -> None:
        """As `Limiter.expect_right`."""
        if self._wrong is not None:
            await self.test((self._wrong, f"{self.address} {what}"))

    async def count_wrong(self, what: str) -> None:
        """As `Limiter.count_wrong`."""
        if self._wrong is not None:
            await self.take((self._wrong, f"{self.address} {what}"))

    async def settle(self) -> None:
        """Take what is still expected; whether it may come was tested before."""
        if self._expected:
            self.left += (await self._rates.take(self._expected)).left
            self._expected = ()
