"""Who calls: by an API key, by the token of a trusted issuer, or by a ticket that one of these got for a stream."""

from __future__ import annotations

import secrets
from typing import Any, Final

from aicflow.host.keys import PREFIX, Caller, KeyRing
from aicflow.host.tokens import Tokens
from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.access import KeyStore
from aicflow.kernel.ports.executions import WorkflowLimit

TICKET_PREFIX: Final = "aict_"
TICKET_SECONDS: Final = 60.0
_LONGEST_TICKET: Final = 100


class Callers:
    """What credentials stand for on this host."""

    def __init__(self, store: KeyStore, keys: KeyRing, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._tokens = tokens
        self._clock = clock

    async def caller(self, credential: str) -> Caller | None:
        """Who has this key or token, None when it does not count. Raises Problem when that cannot be known now."""
        if credential.startswith(PREFIX):
            return await self._keys.caller(credential)
        return await self._tokens.caller(credential)

    def remembers(self, credential: str) -> bool:
        """Whether it counted lately: it is not guessed."""
        return self._keys.remembers(credential) or self._tokens.remembers(credential)

    async def new_ticket(self, caller: Caller) -> tuple[str, float]:
        """A ticket for one stream, and when it expires. It does what its caller's key does, as long as that counts."""
        now = self._clock.now()
        ticket = TICKET_PREFIX + secrets.token_urlsafe(32)
        owner: dict[str, Any] = {"key": caller.digest} if caller.digest else {"token": _as_json(caller)}
        expires_at = now + TICKET_SECONDS
        await self._store.keep_ticket(self._keys.hash(ticket), owner, now=now, expires_at=expires_at)
        return ticket, expires_at

    async def take_ticket(self, ticket: str) -> Caller | None:
        """Who got this ticket; it counts once."""
        if not ticket.startswith(TICKET_PREFIX) or len(ticket) > _LONGEST_TICKET:
            return None
        now = self._clock.now()
        owner: dict[str, Any] | None = await self._store.take_ticket(self._keys.hash(ticket), now=now)
        if owner is None:
            return None
        caller = await self._keys.by_digest(owner["key"]) if "key" in owner else _from_json(owner["token"])
        return caller if caller is not None and caller.is_active(now) else None

    async def close(self) -> None:
        """Let go of what fetches keys."""
        await self._tokens.close()


def _as_json(caller: Caller) -> dict[str, Any]:
    within = caller.within
    return {
        "id": caller.key_id,
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "expires_at": caller.expires_at,
        "within": None if within is None else [sorted(within.ids), [list(label) for label in within.labels]],
    }


def _from_json(value: dict[str, Any]) -> Caller:
    within = None
    if value["within"] is not None:
        ids, labels = value["within"]
        within = WorkflowLimit(frozenset(ids), tuple((name, given) for name, given in labels))
    return Caller(value["id"], value["name"], frozenset(value["scopes"]), value["expires_at"], "", within)
