"""Sessions: what a browser holds in place of an API key, in a cookie that scripts cannot read.

A session does what the key or token that opened it does, for as long as that counts and 12 hours at most. It is kept
in the store as a ticket that is not taken, so that every host of the store knows it and its end.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from aicflow.host.keys import Caller, KeyRing
from aicflow.host.problems import Problem
from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.access import KeyStore
from aicflow.kernel.ports.executions import WorkflowLimit
from aicflow.texts import cut

PREFIX: Final = "aics_"
SECONDS: Final = 12 * 3600.0
PATH: Final = "/api/v1/session"
_LONGEST: Final = 100
_CACHE_SECONDS: Final = 5.0  # bounds how long a session that ended on another host is still known here
_MOST_CACHED: Final = 10_000
_ORIGIN: Final = re.compile(r"https?://([^/?#@\s]+)\Z")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """The sessions of browsers, on one host."""

    def __init__(self, store: KeyStore, keys: KeyRing, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._known: dict[str, Caller] = {}
        # cookies of a host name are shared by all its ports: each installation has a name of its own
        self.cookie: Final = f"aicflow_session_{keys.hash('the name of the cookie')[:8]}"

    async def begin(self, caller: Caller) -> tuple[str, float]:
        """A new session of this caller: what its cookie holds, and when it ends."""
        now = self._clock.now()
        token = PREFIX + secrets.token_urlsafe(32)
        ends_at = min(end for end in (now + SECONDS, caller.expires_at, caller.session_ends_at) if end is not None)
        owner: dict[str, Any] = {**owner_of(caller), "session": True}
        await self._store.keep_ticket(self._keys.hash(token), owner | {"until": ends_at}, now=now, expires_at=ends_at)
        return token, ends_at

    async def caller(self, token: str) -> Caller | None:
        """Whose session this is, None when it has ended."""
        if not token.startswith(PREFIX) or len(token) > _LONGEST:
            return None
        now, mark = self._clock.now(), self._keys.hash(token)
        known = self._known.get(mark)
        if known is None or not 0 <= now - known.checked_at < _CACHE_SECONDS:
            owner: dict[str, Any] | None = await self._store.find_ticket(mark, now=now)
            known = await self._caller(mark, owner) if owner is not None and "until" in owner else None
            if known is None:
                self._forget(mark)
                return None
            if len(self._known) >= _MOST_CACHED:
                self._known.clear()
            self._known[mark] = known
            known.checked_at = now
        if not known.is_active(now):
            return None
        self._keys.note_use(known, now)
        return known

    async def _caller(self, mark: str, owner: dict[str, Any]) -> Caller | None:
        if "key" in owner:
            caller = await self._keys.by_digest(owner["key"], session=mark)
        else:
            caller = self._known.get(mark) or caller_from(owner["token"])
        if caller is not None:
            caller.session, caller.session_ends_at = mark, owner["until"]
        return caller

    def remembers(self, token: str) -> bool:
        """Whether it counted lately: it is not guessed."""
        return token.startswith(PREFIX) and self._keys.hash(token) in self._known

    async def end(self, caller: Caller) -> None:
        """End the session that the caller came with, and its streams; quiet when it came with none."""
        if caller.session is not None:
            await self._store.take_ticket(caller.session, now=self._clock.now())
            self._forget(caller.session)

    def _forget(self, mark: str) -> None:
        known = self._known.pop(mark, None)
        if known is not None:
            self._keys.forget(known)

    def header(self, token: str, lasts: float, *, secure: bool) -> str:
        """`Set-Cookie` for a session that lasts so many seconds; 0 removes it."""
        more = "; Secure" if secure else ""
        return f"{self.cookie}={token}; Path=/; Max-Age={int(lasts)}; HttpOnly; SameSite=Strict{more}"


def check_same_origin(kind: str, method: str, *, host: str, origin: str | None, site: str | None, secure: bool) -> None:
    """Raises Problem `forbidden` for a request with a session's cookie that a page of another origin may have made.

    `SameSite=Strict` does not keep out pages of other ports of the same host. Browsers send `Origin` with every unsafe
    request and WebSocket; what has neither that nor `Sec-Fetch-Site` is no browser and has no use for a cookie. Where
    the client speaks HTTPS (`secure`), its pages do too: a page by HTTP is anybody's on the way to it."""
    if kind == "http" and method in _SAFE:
        return
    same = origin is not None and is_of_host(origin, host) and (not secure or origin.startswith("https:"))
    if not (same if origin is not None else site == "same-origin") or site not in (None, "same-origin"):
        raise Problem(
            "forbidden",
            f"A session counts for pages of {cut(host, 100)!r} only; this came from {cut(origin or '?', 99)!r}.",
            hint="Programs send an API key: `Authorization: Bearer aicf_…`.",
        )


def is_of_host(origin: str, host: str) -> bool:
    """Whether an `Origin` is that of pages of this host."""
    found = _ORIGIN.match(origin)
    return found is not None and found[1].lower() == host.lower()


def owner_of(caller: Caller) -> dict[str, Any]:
    """What is kept of a caller with a ticket or session: it does what the key or token does."""
    return {"key": caller.digest} if caller.digest else {"token": _as_json(caller)}


def _as_json(caller: Caller) -> dict[str, Any]:
    within = caller.within
    return {
        "id": caller.key_id,
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "expires_at": caller.expires_at,
        "within": None if within is None else [sorted(within.ids), [list(label) for label in within.labels]],
    }


def caller_from(value: dict[str, Any]) -> Caller:
    """The holder of a token, as `owner_of` kept it."""
    within = None
    if value["within"] is not None:
        ids, labels = value["within"]
        within = WorkflowLimit(frozenset(ids), tuple((name, given) for name, given in labels))
    return Caller(value["id"], value["name"], frozenset(value["scopes"]), value["expires_at"], "", within)
