"""How many requests in which time: what a rate is, what keeps count, and how an answer tells it.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11; `headers_of` alone writes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from aicflow.problems import Problem
from aicflow.texts import cut

_TEXT: Final = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,3})?([smh])", re.ASCII)
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
