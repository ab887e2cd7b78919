"""Who calls: by an API key, by the token of a trusted issuer, by a ticket that one of these got for a stream or a
sign-in, or by a session."""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal

from aicflow.host.keys import PREFIX, Caller, KeyRing
from aicflow.host.sessions import Sessions, caller_from, owner_of
from aicflow.host.tokens import Tokens
from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.access import KeyStore

TICKET_PREFIX: Final = "aict_"
TICKET_SECONDS: Final = {"stream": 60.0, "session": 600.0}
_LONGEST_TICKET: Final = 100

type Use = Literal["stream", "session"]


class Callers:
    """What credentials stand for on this host."""

    def __init__(self, store: KeyStore, keys: KeyRing, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._tokens = tokens
        self._clock = clock
        self.sessions = Sessions(store, keys, clock)

    async def caller(self, credential: str) -> Caller | None:
        """Who has this key or token, None when it does not count. Raises Problem when that cannot be known now."""
        if credential.startswith(PREFIX):
            return await self._keys.caller(credential)
        return await self._tokens.caller(credential)

    def remembers(self, credential: str) -> bool:
        """Whether it counted lately: it is not guessed."""
        return any(kind.remembers(credential) for kind in (self._keys, self._tokens, self.sessions))

    async def new_ticket(self, caller: Caller, use: Use = "stream") -> tuple[str, float]:
        """A ticket for one stream or one sign-in, and when it expires. It does what its caller's key does, as long as
        that counts."""
        now = self._clock.now()
        ticket = TICKET_PREFIX + secrets.token_urlsafe(32)
        # a stream's ticket is given to pages: it must not be worth a session
        owner: dict[str, Any] = owner_of(caller) | ({"sign_in": True} if use == "session" else {})
        expires_at = now + TICKET_SECONDS[use]
        await self._store.keep_ticket(self._keys.hash(ticket), owner, now=now, expires_at=expires_at)
        return ticket, expires_at

    async def take_ticket(self, ticket: str, use: Use = "stream") -> Caller | None:
        """Who got this ticket; it counts once, for what it was made for."""
        if not ticket.startswith(TICKET_PREFIX) or len(ticket) > _LONGEST_TICKET:
            return None
        now = self._clock.now()
        owner: dict[str, Any] | None = await self._store.take_ticket(self._keys.hash(ticket), now=now)
        if owner is None or ("sign_in" in owner) != (use == "session"):
            return None
        caller = await self._keys.by_digest(owner["key"]) if "key" in owner else caller_from(owner["token"])
        return caller if caller is not None and caller.is_active(now) else None

    async def close(self) -> None:
        """Let go of what fetches keys."""
        await self._tokens.close()
