"""How many requests in which time: what a rate is, what keeps count, and how an answer tells it.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11; `headers_of` alone writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol, runtime_checkable

from aicflow.problems import Problem
from aicflow.texts import cut

_TEXT: Final = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,3})?([smh])", re.ASCII)
_MOST_GRANTS: Final = 200
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `quota` requests in `window` seconds. `exact`: in any stretch of that length, for which the time of each
    request is kept; otherwise the window before counts with the part of it that the stretch still covers."""

    PATTERN: ClassVar = "^([1-9][0-9]{0,8}/([1-9][0-9]{0,3})?[smh]|off)$"
    """What a rate looks like as text."""

    name: str
    quota: int
    window: float
    exact: bool = False
    what: str = "requests"
    policy: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", f'"{self.name}";q={self.quota};w={math.ceil(self.window)}')

    @classmethod
    def parse(cls, name: str, text: str, *, exact: bool = False, what: str = "requests") -> Rate | None:
        """`600/m`, `20/10s`; None for `off`. Raises ValueError."""
        if text == "off":
            return None
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{cut(text, 40)!r} is not a rate such as 600/m, 20/10s or off")
        return cls(name, int(found[1]), int(found[2] or 1) * _SECONDS[found[3]], exact, what)


type Wanted = tuple[Rate, str]
"""A rate, and whose it is."""


class Taken(NamedTuple):
    """What is left of each rate: requests, and the seconds until there are more. `refused`: the seconds until all of
    them would let the request pass, when they do not now."""

    left: Sequence[tuple[Rate, int, float]]
    refused: float | None = None


class RateStore(Protocol):
    """Counts requests. One that several hosts share counts for all of them."""

    async def take(self, wanted: Sequence[Wanted], *, test: bool = False) -> Taken:
        """Count a request against every rate, or against none when one of them has nothing left or it is a `test`."""
        ...


class Asked(NamedTuple):
    """What a host asks the ledger for: `used` are requests that it let in already, `wanted` those to come."""

    rate: Rate
    whose: str
    used: int
    wanted: int


class Granted(NamedTuple):
    """How `many` more requests the host may let in, what is `left` for all hosts then, and when none were granted, the
    seconds until there are some."""

    many: int
    left: int
    wait: float = 0.0


type Grants = list[tuple[int, int]]
"""When, in microseconds, and how many requests were granted to any host; oldest first."""


class RateLedger(Protocol):
    """Where hosts that share a store write down what they let in."""

    async def grant(self, asked: Sequence[Asked]) -> Sequence[Granted]:
        """For each what it is granted. Nobody is in it twice. Raises StoreUnavailable."""
        ...


@runtime_checkable
class KeepsRates(Protocol):
    """A store with a ledger."""

    @property
    def rates(self) -> RateLedger: ...


def grant(kept: Grants, asked: Asked, now: int) -> tuple[Grants, Granted]:
    """What is granted by the grants that are kept, and those to keep from now on."""
    window = round(asked.rate.window * 1_000_000)
    kept = [(at, count) for at, count in kept if at > now - window]
    free = asked.rate.quota - sum(count for _, count in kept) - asked.used
    count = max(0, min(asked.wanted, free))
    if added := asked.used + count:
        if len(kept) >= _MOST_GRANTS and now - kept[-1][0] < window // _MOST_GRANTS:
            kept[-1] = (kept[-1][0], kept[-1][1] + added)
        else:
            kept.append((now, added))
    if count:
        return kept, Granted(count, free - count)
    for at, gone in kept:  # until so many have left the window that one may come
        free += gone
        if free > 0:
            return kept, Granted(0, 0, (at + window - now) / 1_000_000)
    return kept, Granted(0, 0, asked.rate.window)


def headers_of(left: Sequence[tuple[Rate, int, float]]) -> list[tuple[bytes, bytes]]:
    """The headers that tell what is left."""
    policies = ", ".join([rate.policy for rate, _, _ in left])
    state = ", ".join([f'"{rate.name}";r={more};t={math.ceil(seconds)}' for rate, more, seconds in left])
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", state.encode())]


LIMITER: Final = "aicflow.limiter"
"""Where the limiter of a request is in an ASGI scope."""


class Limiter(Protocol):
    """What one request is counted with."""

    async def take(self, *wanted: Wanted) -> None:
        """Count the request against these, and against what the host counts. Raises Problem `rate-limited`."""
        ...

    async def expect_right(self, what: str) -> None:
        """Before credentials for `what` (such as a webhook's id) are checked. Raises Problem `rate-limited` when this
        address has shown too many wrong ones for it."""
        ...

    async def count_wrong(self, what: str) -> None:
        """Wrong credentials for `what` were shown. Raises Problem `rate-limited`."""
        ...

    @property
    def address(self) -> str:
        """Whose requests are counted together: the client's address, of IPv6 its network of 64 bits."""
        ...


def limiter_of(scope: Mapping[str, Any]) -> Limiter | None:
    """The limiter of a request to an app that a plugin mounts; None outside of a host."""
    return scope.get(LIMITER)


def refusal(taken: Taken) -> Problem:
    """The answer to a request that is one too many."""
    assert taken.refused is not None
    seconds = max(1, math.ceil(taken.refused))
    spent = min(taken.left, key=lambda one: one[1])[0]
    what = f"At most {spent.quota:,} {spent.what} in {spent.window:g} s."
    headers = {name.decode(): value.decode() for name, value in headers_of(taken.left)}
    hint = f"Send it again in {seconds} s; the header RateLimit says what is left before it is used up."
    return Problem("rate-limited", what, hint=hint, headers={**headers, "retry-after": str(seconds)})
