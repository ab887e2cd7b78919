"""Bearer tokens (JWT) of the issuers that the operator trusts: whether one counts, and what its holder may do.

Nothing in a token says how it is checked: algorithms and keys are the issuer's, from the settings. `jku`, `x5u`, `jwk`
and the like are never read.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from aicflow.host.issuers import SYMMETRIC, Issuer
from aicflow.host.keys import SCOPES, Caller
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.executions import WorkflowLimit

if TYPE_CHECKING:
    from jwt.api_jws import PyJWS

    from aicflow.host.jwks import Jwks

LONGEST: Final = 8192
_TYPES: Final = (None, "jwt", "at+jwt", "application/jwt", "application/at+jwt")
_LONGEST_NAME: Final = 255
_KEPT_SECONDS: Final = 5.0
_MOST_KEPT: Final = 10_000


class _Refused(Exception):
    """The token does not count."""


class Tokens:
    """The tokens that count on this host."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._clock = clock
        self._issuers: dict[str, _Trusted] = {}
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._mark_key = secrets.token_bytes(32)
        if issuers:  # loading PyJWT and the HTTP client takes a while
            from jwt.algorithms import OKPAlgorithm
            from jwt.api_jws import PyJWS

            names = {name for issuer in issuers for name in issuer.algorithms} - {"Ed25519"}
            self._signatures = PyJWS([*names])
            self._signatures.register_algorithm("Ed25519", OKPAlgorithm())  # RFC 9864's name for EdDSA
            self._issuers = {issuer.issuer: _Trusted(issuer, self._signatures) for issuer in issuers}

    async def caller(self, token: str) -> Caller | None:
        """Whose token this is, None when it does not count. Raises Problem when the issuer's keys cannot be had."""
        if not self._issuers or len(token) > LONGEST or token.count(".") != 2 or not token.isascii():
            return None
        now = self._clock.now()
        mark = self._mark(token)
        caller, checked_at = self._known.get(mark, (None, 0.0))
        if caller is None or not 0 <= now - checked_at < _KEPT_SECONDS:
            try:
                caller = await self._checked(token, now)
            except _Refused:
                self._known.pop(mark, None)
                return None
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[mark] = caller, now
        return caller if caller.is_active(now) else None

    def _mark(self, token: str) -> bytes:
        return blake2b(token.encode("utf-8", "replace"), key=self._mark_key, digest_size=32).digest()

    def remembers(self, token: str) -> bool:
        """Whether the token counted lately."""
        return self._mark(token) in self._known

    async def _checked(self, token: str, now: float) -> Caller:
        header, claims = _unverified(token, self._signatures)
        trusted = self._issuers.get(claims["iss"]) if isinstance(claims.get("iss"), str) else None
        if trusted is None:
            raise _Refused
        await trusted.check_signature(token, header)
        return _caller(trusted.issuer, claims, now)

    async def close(self) -> None:
        """Stop fetching keys."""
        for trusted in self._issuers.values():
            if trusted.jwks is not None:
                await trusted.jwks.close()


class _Trusted:
    """An issuer and its keys."""

    def __init__(self, issuer: Issuer, signatures: PyJWS) -> None:
        from aicflow.host.jwks import Jwks, fits

        self.issuer = issuer
        self.jwks: Jwks | None = Jwks(issuer.jwks_url) if issuer.jwks_url is not None else None
        self._signatures = signatures
        self._key: Any = issuer.secret()
        if (pem := issuer.public_key()) is not None:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            try:
                self._key = load_pem_public_key(pem)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise AICFlowError(f"{issuer.public_key_file} is not a public key in PEM: {error}.") from None
            for algorithm in issuer.algorithms:
                if not fits(self._key, algorithm):
                    raise AICFlowError(f"The key in {issuer.public_key_file} does not fit {algorithm}.")

    async def check_signature(self, token: str, header: Mapping[str, Any]) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from jwt.exceptions import PyJWTError

        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.issuer.algorithms or not isinstance(kid, str | None):
            raise _Refused
        keys = [self._key] if self.jwks is None else await self.jwks.keys(kid, algorithm)
        if not keys or (algorithm == SYMMETRIC) != isinstance(keys[0], bytes):
            raise _Refused
        try:
            self._signatures.decode_complete(token, keys[0], algorithms=[algorithm])
        except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            raise _Refused from None


def _unverified(token: str, signatures: PyJWS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, which only say whose the token claims to be."""
    from jwt.exceptions import PyJWTError

    try:
        found = signatures.decode_complete(token, options={"verify_signature": False})
        header, claims = found["header"], json.loads(found["payload"])
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise _Refused from None
    kind = header.get("typ")
    kind = kind.lower() if isinstance(kind, str) else kind
    if not isinstance(claims, dict) or kind not in _TYPES:  # PyJWT has refused what is critical to understand
        raise _Refused
    return header, claims


def _caller(issuer: Issuer, claims: Mapping[str, Any], now: float) -> Caller:
    audience, subject = claims.get("aud"), claims.get("sub")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not any(one in issuer.audience for one in audiences if isinstance(one, str)):
        raise _Refused
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= _LONGEST_NAME:
        raise _Refused
    expires_at = _instant(claims, "exp") + issuer.leeway
    if now >= expires_at or any(_instant(claims, name, now) > now + issuer.leeway for name in ("nbf", "iat")):
        raise _Refused
    granted = {scope for name in _words(_claim(claims, issuer.scopes_claim)) for scope in issuer.scopes.get(name, ())}
    within = _limit(issuer, claims)
    if within is not None:
        granted.discard("admin")  # which has no limits
    known = frozenset(scope for scope in SCOPES if scope in granted)
    return Caller(f"{issuer.issuer}#{subject}", subject, known, expires_at, "", within)


def _instant(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused
    try:
        instant = float(value)
    except OverflowError:
        raise _Refused from None
    if not math.isfinite(instant):
        raise _Refused
    return instant


def _limit(issuer: Issuer, claims: Mapping[str, Any]) -> WorkflowLimit | None:
    """The workflows that the token is for. Where the issuer has claims for that, a token without them is for none:
    what is forgotten must not open everything. `*` is for all."""
    if issuer.workflows_claim is None and issuer.labels_claim is None:
        return None
    workflows = _words(_claim(claims, issuer.workflows_claim or ""))
    if workflows == ["*"]:
        return None
    value = _claim(claims, issuer.labels_claim or "")
    if isinstance(value, dict):
        labels = value
    else:
        pairs = [word.partition("=") for word in _words(value)]
        labels = {name: given for name, equals, given in pairs if equals}
        if len(labels) != len(pairs):
            raise _Refused
    if not all(isinstance(given, str) for given in labels.values()):
        raise _Refused
    return WorkflowLimit(frozenset(workflows), tuple(sorted(labels.items())))


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by the names on the way to it: `realm_access.roles`."""
    if path in claims or not path:
        return claims.get(path)
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _words(value: Any) -> list[str]:
    """A claim that lists words: a list of texts, or one text with spaces."""
    if value is None:
        return []
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _Refused
    return words
