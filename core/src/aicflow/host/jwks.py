"""The public keys of an issuer, from its JWKS: kept, rotated, and fetched rarely however many tokens come.

PyJWT's own client blocks the event loop while it fetches, and goes around our guard.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx2
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from aicflow.host.problems import Problem
from aicflow.kernel.errors import AICFlowError
from aicflow.net import http_client

type PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

LARGEST: Final = 1024 * 1024
MOST_KEYS: Final = 100
SHORTEST_AGE: Final = 300.0
USUAL_AGE: Final = 3600.0
LONGEST_AGE: Final = 86_400.0  # also for how long the last good set counts while none can be had
BETWEEN_FETCHES: Final = 30.0
BEFORE_THE_FIRST: Final = 5.0
MOST_MISSING: Final = 128
_TIMEOUT: Final = 10.0
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,12})")
_READERS: Final[Mapping[str, Any]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
_SMALLEST_RSA: Final = 2048
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_log = logging.getLogger("aicflow.host")


def fits(key: object, algorithm: str) -> bool:
    """Whether the key is of the type and size that the algorithm needs."""
    if algorithm in _CURVES:
        return isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    if algorithm in ("EdDSA", "Ed25519"):
        return isinstance(key, Ed25519PublicKey)
    return isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_RSA


class Jwks:
    """The keys at one URL. `close` it."""

    def __init__(
        self,
        url: str,
        *,
        client: Callable[[], httpx2.AsyncClient] = lambda: http_client(pointer="/jwks_url"),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._make_client = client
        self._client: httpx2.AsyncClient | None = None
        self._now = now
        self._keys: list[tuple[str | None, str | None, PublicKey]] = []
        self._fetched_at: float | None = None
        self._max_age = 0.0
        self._tried_at: float | None = None
        self._flight: asyncio.Task[None] | None = None
        self._missing: OrderedDict[str, float] = OrderedDict()

    async def keys(self, kid: str | None, algorithm: str) -> Sequence[PublicKey]:
        """The key with this id; without one, the only key that fits the algorithm. Raises Problem (`unavailable`) when
        no keys can be had."""
        now = self._now()
        if self._age(now) >= LONGEST_AGE:
            await self._refresh(now)
            if self._age(self._now()) >= LONGEST_AGE:
                raise Problem(
                    "unavailable", "The keys of the token's issuer cannot be fetched.", headers={"retry-after": "30"}
                )
        elif self._age(now) >= self._max_age:
            self._start(now)  # what is known counts meanwhile
        found = self._find(kid, algorithm)
        if found or kid is None or self._missing.get(kid, now) > now:
            return found
        fetched_at = self._fetched_at
        await self._refresh(now)
        found = self._find(kid, algorithm)
        if not found and self._fetched_at != fetched_at:
            self._missing[kid] = self._now() + 2 * BETWEEN_FETCHES
            while len(self._missing) > MOST_MISSING:
                self._missing.popitem(last=False)
        return found

    def _age(self, now: float) -> float:
        return LONGEST_AGE if self._fetched_at is None else now - self._fetched_at

    def _find(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        found = [
            key
            for name, only, key in self._keys
            if (kid is None or name == kid) and only in (None, algorithm) and fits(key, algorithm)
        ]
        return found if len(found) == 1 else []

    async def _refresh(self, now: float) -> None:
        """Fetch the keys, unless that was done just now; many who ask at once wait for one fetch."""
        self._start(now)
        if self._flight is not None:
            await asyncio.shield(self._flight)

    def _start(self, now: float) -> None:
        gap = BEFORE_THE_FIRST if self._fetched_at is None else BETWEEN_FETCHES
        if self._flight is None and (self._tried_at is None or now - self._tried_at >= gap):
            self._tried_at = now
            self._flight = asyncio.get_running_loop().create_task(self._fetch(), name="aicflow-jwks")

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                body, cache_control = await self._get()
            self._keys = _read(body)
            found = _MAX_AGE.search(cache_control.lower())
            age = float(found[1]) if found else SHORTEST_AGE if "no-" in cache_control.lower() else USUAL_AGE
            self._max_age = min(max(age, SHORTEST_AGE), LONGEST_AGE)
            self._fetched_at = self._now()
        except (AICFlowError, httpx2.HTTPError, OSError, TimeoutError, ValueError, RecursionError) as error:
            reason = getattr(error, "message", None) or str(error) or type(error).__name__
            _log.warning("The keys at %s cannot be fetched: %s", self._url, reason)
        finally:
            self._flight = None

    async def _get(self) -> tuple[bytes, str]:
        if self._client is None:
            self._client = self._make_client()
        async with self._client.stream("GET", self._url, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ValueError(f"the answer is {response.status_code}, not 200")
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise ValueError(f"the answer is larger than {LARGEST} bytes")
            return body, response.headers.get("cache-control", "")

    async def close(self) -> None:
        """Stop fetching, and close the connections."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait((self._flight,))
        if self._client is not None:
            await self._client.aclose()


def _read(body: bytes) -> list[tuple[str | None, str | None, PublicKey]]:
    """The usable keys: id, the only algorithm they are for, and the key. Raises ValueError for what is no set of
    keys."""
    value = json.loads(body)
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise ValueError(f"it is no JWKS of at most {MOST_KEYS} keys")
    found = []
    for one in keys:
        key = _public_key(one)
        if key is not None:
            kid, algorithm = one.get("kid"), one.get("alg")
            found.append(
                (kid if isinstance(kid, str) else None, algorithm if isinstance(algorithm, str) else None, key)
            )
    if not found:
        raise ValueError("none of its keys can be used")
    return found


def _public_key(value: Any) -> PublicKey | None:
    """The key, None for one that signs nothing here: secret ones, those for encryption, unknown types."""
    if not isinstance(value, dict) or value.get("use", "sig") != "sig" or "d" in value or "k" in value:
        return None
    operations, reader = value.get("key_ops"), _READERS.get(str(value.get("kty")))
    if reader is None or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        key = reader.from_jwk(value)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return key if isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey) else None
