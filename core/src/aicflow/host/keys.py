"""API keys: what one looks like, and the ring that says who calls. A key itself is never kept, only its keyed hash."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, Self, get_args

from aicflow.engine.ids import new_id
from aicflow.host.addresses import Network, is_among, networks
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import NotFound, StoreUnavailable
from aicflow.kernel.ports.access import ApiKeyRecord, KeyStore
from aicflow.kernel.ports.audit import pending_audit
from aicflow.kernel.ports.executions import Idempotency, WorkflowLimit

type Scope = Literal["read", "write", "execute", "admin"]
SCOPES: Final[tuple[str, ...]] = get_args(Scope.__value__)

PREFIX: Final = "aicf_"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM: Final = 32  # characters of 62: 190 bits
_CHECK: Final = 6
_TOUCH_EVERY: Final = 60.0
_CACHE_SECONDS: Final = 5.0  # bounds how long a key revoked by another host is still known here
_MOST_CACHED: Final = 10_000
_WATCH_SECONDS: Final = 1.0


def new_key() -> str:
    """A fresh key: prefix, 190 random bits, and a checksum so that typing errors and leaks can be detected offline."""
    return _whole("".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM)))


def _whole(body: str) -> str:
    return PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether the text can be a key at all: its prefix, length and checksum fit."""
    body, check = key[len(PREFIX) : -_CHECK], key[-_CHECK:]
    return (
        key.isascii()
        and key.startswith(PREFIX)
        and len(key) == len(PREFIX) + _RANDOM + _CHECK
        and hmac.compare_digest(_checksum(body), check)
    )


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii", "replace"))
    out = ""
    for _ in range(_CHECK):
        number, digit = divmod(number, 62)
        out = _ALPHABET[digit] + out
    return out


@dataclass(slots=True, eq=False)
class Caller:
    """Who calls. `revoked` turns true the moment the key is revoked, also for a stream that is under way; `watch` ends
    then, while a stream is open."""

    key_id: str
    name: str
    scopes: frozenset[str]
    expires_at: float | None
    digest: str
    within: WorkflowLimit | None = None
    networks: tuple[Network, ...] = ()
    max_queued: int | None = None
    revoked: bool = False
    checked_at: float = 0.0
    touched_at: float = 0.0
    session: str | None = None
    """Its hash in the store, when the caller came with one."""
    session_ends_at: float | None = None
    streams: int = 0
    watch: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, record: ApiKeyRecord, digest: str) -> Self:
        """Who has the key of this record."""
        return cls(
            record.id,
            record.name,
            frozenset(record.scopes),
            record.expires_at,
            digest,
            limit_of(record.workflows, record.labels),
            networks(record.addresses),
            record.max_queued,
        )

    def follow(self, record: ApiKeyRecord | None) -> None:
        """What became of the key: revoked, or rotated, which gives it an end."""
        if record is None or record.revoked_at is not None:
            self.revoked = True
        elif hmac.compare_digest(record.hash, self.digest):
            self.expires_at = record.expires_at
        elif record.previous_hash is not None and hmac.compare_digest(record.previous_hash, self.digest):
            ends = (record.expires_at, record.previous_expires_at)
            self.expires_at = min(end for end in ends if end is not None)
        else:
            self.revoked = True

    def may_come_from(self, address: str | None) -> bool:
        """Whether the key may be used from there."""
        return not self.networks or is_among(address, self.networks)

    @property
    def actor(self) -> str:
        """As the audit log names who did something."""
        return f"{'key' if self.digest else 'token'}:{self.key_id}"

    def may(self, scope: str) -> bool:
        """Whether the key has the scope; `admin` has all. A request that waited may find its key revoked."""
        return not self.revoked and (scope in self.scopes or "admin" in self.scopes)

    def is_active(self, now: float) -> bool:
        """Whether the key still counts."""
        ends = (self.expires_at, self.session_ends_at)
        return not self.revoked and all(end is None or now < end for end in ends)


def _end_streams(caller: Caller) -> None:
    if caller.watch is not None:
        caller.watch.cancel()


def limit_of(workflows: Sequence[str], labels: Mapping[str, str]) -> WorkflowLimit | None:
    """The limit that these make, None without any."""
    return WorkflowLimit(frozenset(workflows), tuple(sorted(labels.items()))) if workflows or labels else None


class KeyRing:
    """The keys of one host. What a key may do is remembered for seconds; revoking takes effect at once."""

    def __init__(self, store: KeyStore, secret: bytes, clock: Clock) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock
        self._known: dict[bytes, Caller] = {}
        self._mark_key = secrets.token_bytes(32)
        self._tasks: set[asyncio.Task[None]] = set()

    def hash(self, key: str) -> str:
        """The keyed hash under which a key is stored."""
        return hmac.digest(self._secret, key.encode(), "sha256").hex()

    async def caller(self, key: str) -> Caller | None:
        """Who has this key, or None when it is unknown, revoked or expired."""
        now = self._clock.now()
        mark = self._mark(key)
        known = self._known.get(mark)
        if known is None or not 0 <= now - known.checked_at < _CACHE_SECONDS:
            if not is_well_formed(key):
                return None
            known = await self._look_up(mark, self.hash(key), known, now)
            if known is None:
                return None
        if not known.is_active(now):
            return None
        self.note_use(known, now)
        return known

    def note_use(self, caller: Caller, now: float) -> None:
        """Note that the caller's key was used, now and then."""
        if caller.digest and now - caller.touched_at >= _TOUCH_EVERY:
            caller.touched_at = now
            task = asyncio.create_task(self._store.touch(caller.key_id, now=now))
            self._tasks.add(task)
            task.add_done_callback(self._touched)

    def _mark(self, key: str) -> bytes:
        # for this process only, and a fifth of the cost: the stored hash lets go of the interpreter on each call
        return blake2b(key.encode("utf-8", "replace"), key=self._mark_key, digest_size=32).digest()

    def remembers(self, key: str) -> bool:
        """Whether the key was a known one lately: it is not guessed."""
        return self._mark(key) in self._known

    async def by_digest(self, digest: str, *, session: str = "") -> Caller | None:
        """Who has the key with this hash; a session has a caller of its own, which ends with it."""
        mark = (session + digest).encode()
        return await self._look_up(mark, digest, self._known.get(mark), self._clock.now())

    def _touched(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the last use is a courtesy: a failure to note it must not fail a request

    async def _look_up(self, mark: bytes, digest: str, known: Caller | None, now: float) -> Caller | None:
        record = await self._store.find(digest)
        if record is None:
            self._known.pop(mark, None)
            return None
        raced = self._known.get(mark)
        if known is None and raced is not None:
            known = raced
        if known is None:
            known = Caller.of(record, digest)
            if len(self._known) >= _MOST_CACHED:
                self._known.clear()
            self._known[mark] = known
        known.follow(record)
        known.checked_at = now
        return known

    @contextmanager
    def watched(self, caller: Caller) -> Iterator[asyncio.Task[None]]:
        """For what stays open: a task that ends within about a second of the key's end, here or by another host."""
        caller.streams += 1
        if caller.watch is None:
            caller.watch = asyncio.create_task(self._until_inactive(caller))
        try:
            yield caller.watch
        finally:
            caller.streams -= 1
            if caller.streams == 0:
                caller.watch.cancel()
                caller.watch = None

    async def _until_inactive(self, caller: Caller) -> None:
        while caller.is_active(self._clock.now()):
            await asyncio.sleep(_WATCH_SECONDS)
            if caller.digest:
                with suppress(StoreUnavailable):  # no key can be revoked then
                    caller.follow(await self._store.find(caller.digest))
            if caller.session is not None:
                with suppress(StoreUnavailable):
                    if await self._store.find_ticket(caller.session, now=self._clock.now()) is None:
                        caller.revoked = True

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_at: float | None = None,
        workflows: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        addresses: Sequence[str] = (),
        max_queued: int | None = None,
        key: str | None = None,
        idempotency: Idempotency | None = None,
        seed: str | None = None,
    ) -> tuple[ApiKeyRecord, str]:
        """A new key: its record, and the key itself, which cannot be had again but by `again` with the same `seed`.
        `workflows` and `labels` limit it to workflows, `addresses` to networks, `max_queued` to so many
        executions in the queue. Raises KeyUsed."""
        now = self._clock.now()
        key_id = new_id("ak", now)
        if (pending := pending_audit.get()) is not None:
            pending.made = key_id
        key = key or (new_key() if seed is None else self._derived(key_id, seed))
        ordered = tuple(scope for scope in SCOPES if scope in scopes)
        record = ApiKeyRecord(
            key_id,
            name,
            self.hash(key),
            ordered,
            now,
            expires_at,
            workflows=tuple(dict.fromkeys(workflows)),
            labels=dict(labels or {}),
            addresses=tuple(dict.fromkeys(addresses)),
            max_queued=max_queued,
        )
        await self._store.create(record, idempotency=idempotency)
        return record, key

    async def rotate(
        self, key_id: str, overlap: float, *, idempotency: Idempotency | None = None, seed: str | None = None
    ) -> tuple[ApiKeyRecord, str]:
        """Another key with the same id, scopes and limits; the one until now counts for `overlap` seconds more. Raises
        NotFound, Conflict (revoked), KeyUsed."""
        key = new_key() if seed is None else self._derived(key_id, seed)
        end = self._clock.now() + overlap
        record = await self._store.rotate(key_id, self.hash(key), previous_expires_at=end, idempotency=idempotency)
        for known in self._known.values():
            if known.key_id == key_id:
                known.follow(record)
        return record, key

    async def again(self, key_id: str, seed: str) -> tuple[ApiKeyRecord, str]:
        """The key that was made with this seed, which is nowhere but with the caller. Raises NotFound."""
        key = self._derived(key_id, seed)
        record = await self._store.find(self.hash(key))
        if record is None:
            raise NotFound("API key", key_id)
        return record, key

    def _derived(self, key_id: str, seed: str) -> str:
        number = int.from_bytes(hmac.digest(self._secret, f"{key_id}:{seed}".encode(), "sha512"))
        return _whole("".join(_ALPHABET[number // 62**place % 62] for place in range(_RANDOM)))

    async def list(self) -> Sequence[ApiKeyRecord]:
        """All keys, revoked ones too."""
        return await self._store.list()

    async def revoke(self, key_id: str) -> None:
        """Revoke a key, at once. Raises NotFound."""
        await self._store.revoke(key_id, now=self._clock.now())
        for known in self._known.values():
            if known.key_id == key_id:
                known.revoked = True
                _end_streams(known)

    def forget(self, caller: Caller) -> None:
        """End what a caller of its own (a session) may do."""
        caller.revoked = True
        _end_streams(caller)
        self._known.pop(((caller.session or "") + caller.digest).encode(), None)

    async def close(self) -> None:
        """Finish noting last uses."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
