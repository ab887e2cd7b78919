"""What a workflow keeps between its executions, as a step uses it; and what may be kept."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, Final
from weakref import WeakValueDictionary

from aicflow.engine.sealing import Vault
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import Conflict, KeyUsed, PermanentError, TransientError
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.workflows import StateStore
from aicflow.kernel.values import dumps, json_type

_KEY: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")
_MOST_TRIES: Final = 100
_LONGEST: Final = 10 * 365 * 86_400
_adding: Final[WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str, str], asyncio.Lock]] = WeakValueDictionary()


def state_problem(key: str, most: int, value: Any = None, lifetime: float | None = None) -> tuple[str, str] | None:
    """Which of `key`, `value` (of `most` bytes) and `lifetime` cannot be kept, and why."""
    if not _KEY.fullmatch(key):
        return "key", "A key has 1 to 200 of these characters: letters, digits and _ . : @ -"
    if lifetime is not None and not (0 < lifetime <= _LONGEST and math.isfinite(lifetime)):
        return "lifetime", f"A lifetime must be more than 0 and at most {_LONGEST:,} seconds (ten years)."
    try:
        size = len(dumps(value))
    except (ValueError, TypeError, RecursionError):
        return "value", "The value is not JSON."
    if size > most:
        return "value", f"The value has {size:,} bytes as JSON, and at most {most:,} are kept under one key."
    return None


def state_place(workflow_id: str, key: str) -> str:
    """What a value that is kept is sealed for."""
    return f"state {workflow_id} {key}"


class StepState:
    """The state of the step's workflow. What must not happen twice is known again when the step is tried again."""

    def __init__(
        self, store: StateStore, vault: Vault, workflow_id: str, execution_id: str, step: str, most: int
    ) -> None:
        self._most = most
        self._vault = vault
        self._store = store
        self._workflow_id = workflow_id
        self._execution_id = execution_id
        self._step = step
        self._adds = 0

    async def get(self, key: str) -> StateEntry | None:
        """See `State`."""
        self._check(key)
        entry = await retry_while_unavailable(partial(self._store.get, self._workflow_id, key))
        return entry and replace(entry, value=self._vault.real(state_place(self._workflow_id, key), entry.value))

    async def put(
        self, key: str, value: Any, *, lifetime: float | None = None, version: int | None = None
    ) -> StateEntry:
        """See `State`."""
        self._check(key, value, lifetime)
        once = None if version is None else f"put:{key}:{version}:{sha256(dumps(value)).hexdigest()}"
        return await self._write(key, value, lifetime, version, once)

    async def add(self, key: str, by: float, *, lifetime: float | None = None) -> StateEntry:
        """See `State`."""
        self._adds += 1
        once = f"add:{key}:{self._adds}:{by}"
        # those of this host come one after the other: all at once, each that succeeds would fail all others
        line = _adding.setdefault((asyncio.get_running_loop(), self._workflow_id, key), asyncio.Lock())
        async with line:
            return await self._add(key, by, lifetime, once)

    async def _add(self, key: str, by: float, lifetime: float | None, once: str) -> StateEntry:
        for _ in range(_MOST_TRIES):
            entry = await self.get(key)
            before = 0 if entry is None else entry.value
            if json_type(before) not in ("number", "integer"):
                raise PermanentError(
                    f"{key!r} holds a value of type {json_type(before)}, not a number.", code="state-invalid"
                )
            self._check(key, before + by, lifetime)
            version = 0 if entry is None else entry.version
            try:
                return await self._write(key, before + by, lifetime, version, once)
            except PermanentError as error:
                if error.code != "state-changed":
                    raise
        raise TransientError(f"Others change {key!r} all the time.", code="state-changed")

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """See `State`."""
        self._check(key)
        return await _clear(partial(self._store.delete, self._workflow_id, key, version=version))

    def _check(self, key: str, value: Any = None, lifetime: float | None = None) -> None:
        if (problem := state_problem(key, self._most, value, lifetime)) is not None:
            raise PermanentError(problem[1], code="state-invalid", pointer=f"/{problem[0]}")

    async def _write(
        self, key: str, value: Any, lifetime: float | None, version: int | None, once: str | None
    ) -> StateEntry:
        used = None if once is None else Idempotency("state", f"{self._step}:{once}", "", owner=self._execution_id)
        kept = self._vault.keep(state_place(self._workflow_id, key), value)
        put = partial(
            self._store.put, self._workflow_id, key, kept, lifetime=lifetime, version=version, idempotency=used
        )
        try:
            return replace(await _clear(put), value=value)
        except KeyUsed:
            entry = await self.get(key)  # it was written by an attempt that did not come to its end
            return entry or StateEntry(key, value, 0, 0.0)


async def _clear[T](write: Callable[[], Awaitable[T]]) -> T:
    try:
        return await retry_while_unavailable(write)
    except Conflict as error:
        raise PermanentError(error.message, code=error.code, hint=error.hint) from None
