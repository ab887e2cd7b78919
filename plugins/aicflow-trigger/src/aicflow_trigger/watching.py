"""Watching what arrives for a webhook: event streams, the passing addresses that they open, and what was refused last.

Nothing of it is stored: what is refused keeps no trace but these few words, in this process."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aicflow import Problem, Runtime
from starlette.requests import Request
from starlette.responses import StreamingResponse

from aicflow_trigger.webhook import RESERVED

_KEEP_ALIVE: Final = 15.0
_LONGEST: Final = 3_600.0
_MOST_WAITING: Final = 100
_MOST_LISTENERS: Final = 100
_MOST_REFUSED: Final = 20
_MOST_WEBHOOKS: Final = 1_000
_HIDE: Final = "aicflow.hide"
"""Where the scope of a request has what removes secrets from what people read."""


@dataclass(slots=True, eq=False)
class _Listener:
    """Someone who watches. `token` makes the address that works as long as they do."""

    webhook: tuple[str, str]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    events: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))


class Watch:
    """Who watches which webhook (a workflow's id and a trigger's), and the last calls that each refused."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime
        self._listeners: dict[str, _Listener] = {}
        self._refused: dict[tuple[str, str], deque[dict[str, Any]]] = {}

    def watched_by(self, token: str) -> tuple[str, str] | None:
        """The webhook that is watched by the stream of this token."""
        listener = self._listeners.get(token)
        return listener.webhook if listener is not None else None

    def tell(
        self,
        request: Request,
        workflow_id: str,
        trigger_id: str,
        version: int,
        what: Problem | Mapping[str, Any],
        *,
        live: bool,
        execution_id: str | None = None,
    ) -> None:
        """A call was refused with this problem, or let in with this payload."""
        webhook = (workflow_id, trigger_id)
        refused = isinstance(what, Problem)
        watching = [one for one in self._listeners.values() if one.webhook == webhook]
        if not refused and not watching:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data: dict[str, Any] = {"at": at, "live": live, "version": version, "method": request.method}
        if isinstance(what, Problem):
            data |= {"status": what.status, "detail": what.detail}
        else:
            data |= {"payload": what, "execution_id": execution_id}
        if (hide := request.scope.get(_HIDE)) is not None:
            data = hide({"fields": data})["fields"]
        if refused:
            kept = self._refused.pop(webhook, None) or deque(maxlen=_MOST_REFUSED)
            kept.append(data)
            self._refused[webhook] = kept
            if len(self._refused) > _MOST_WEBHOOKS:
                del self._refused[next(iter(self._refused))]
        event = _event("refused" if refused else "delivery", data)
        for listener in watching:
            with suppress(asyncio.QueueFull):  # who does not read loses the newest, never the caller's time
                listener.events.put_nowait(event)

    def stream(self, workflow_id: str, trigger_id: str, draft: Mapping[str, Any]) -> StreamingResponse:
        """What arrives from now on, after what was refused last. Raises Problem when too many watch."""
        if len(self._listeners) >= _MOST_LISTENERS:
            raise Problem("unavailable", "Too many test streams are open.", headers={"Retry-After": "60"})
        listener = _Listener((workflow_id, trigger_id))
        ready = {"url": f"/hooks/{RESERVED}/{listener.token}", **draft}
        return StreamingResponse(
            self._events(listener, ready), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _events(self, listener: _Listener, ready: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The stream, until the client goes, the host stops or an hour has passed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        stopping = loop.create_task(self._host.stopping())
        before = [*self._refused.get(listener.webhook, ())]
        self._listeners[listener.token] = listener
        try:
            yield _event("ready", ready)
            for data in before:
                yield _event("refused", data)
            while loop.time() < end:
                taking = loop.create_task(listener.events.get())
                try:
                    await asyncio.wait((taking, stopping), timeout=_KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
                    if taking.done():
                        yield taking.result()
                    elif stopping.done():
                        return
                    else:
                        yield b": still here\n\n"
                finally:
                    taking.cancel()
        finally:
            del self._listeners[listener.token]
            stopping.cancel()


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
