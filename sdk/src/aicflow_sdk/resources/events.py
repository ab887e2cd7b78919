"""Events from outside: sending them, and what was sent."""

from __future__ import annotations

from typing import Any

from aicflow_sdk.messages import keyed
from aicflow_sdk.models import SentEvent
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages


class AsyncEvents(Resource):
    """Events from outside: sending them, and what was sent."""

    async def send(
        self,
        name: str,
        *,
        key: str | int | None = None,
        data: Any = None,
        id: str | None = None,
        ttl: float | None = None,
        idempotency_key: str | None = None,
    ) -> SentEvent:
        """Wake the steps that wait for this name and key, and fire the triggers that look out for it. Stored when it
        returns. Steps that begin to wait within `ttl` seconds find it too. With an `id` that was sent before, nothing
        is done, and the event that has it is returned."""
        body = {"name": name, "key": key, "data": data, "id": id, "ttl": ttl}
        return await self._session.call(SentEvent, "POST", "events", json=body, headers=keyed(idempotency_key))

    def list(
        self, *, name: str | None = None, key: str | None = None, limit: int | None = None
    ) -> AsyncPages[SentEvent]:
        """The events that are kept, newest first."""
        return AsyncPages(self._session, SentEvent, "events", limit=limit, name=name, key=key)

    async def get(self, event_id: str) -> SentEvent:
        """One event, as long as it is kept. Raises NotFound."""
        return await self._session.call(SentEvent, "GET", "events", event_id)
