"""The triggers of saved workflows and what arrived for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_sdk.execution import Execution
from aicflow_sdk.messages import keyed
from aicflow_sdk.models import Delivery, Trigger
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages


class AsyncTriggers(Resource):
    """The triggers of saved workflows and what arrived for them."""

    def list(self, *, workflow_id: str | None = None, limit: int | None = None) -> AsyncPages[Trigger]:
        """The triggers of enabled workflows; those that cannot fire too, with the reason."""
        return AsyncPages(self._session, Trigger, "triggers", limit=limit, workflow_id=workflow_id)

    async def get(self, trigger_id: str) -> Trigger:
        """One trigger, by `workflow_id:trigger_id`. Raises NotFound."""
        return await self._session.call(Trigger, "GET", "triggers", trigger_id)

    async def pause(self, trigger_id: str) -> Trigger:
        """Let it fire no more until it is resumed; kept over restarts and new versions."""
        return await self._session.call(Trigger, "POST", "triggers", trigger_id, "pause", repeatable=True)

    async def resume(self, trigger_id: str) -> Trigger:
        """Let a paused trigger go on."""
        return await self._session.call(Trigger, "POST", "triggers", trigger_id, "resume", repeatable=True)

    async def fire(self, trigger_id: str, payload: Any = None, *, idempotency_key: str | None = None) -> Execution:
        """Fire it now with this payload, also when it is paused."""
        body, headers = {"payload": payload}, keyed(idempotency_key)
        return await self._session.call(Execution, "POST", "triggers", trigger_id, "fire", json=body, headers=headers)

    async def next_fires(self, trigger_id: str, *, count: int = 5) -> tuple[Mapping[str, Any], ...]:
        """When it will fire next, as its type defines it. Raises Conflict for a trigger without a schedule."""
        return (await self._session.items(dict, "triggers", trigger_id, "next", count=count)).data

    def deliveries(
        self, trigger_id: str, *, started: bool | None = None, limit: int | None = None
    ) -> AsyncPages[Delivery]:
        """What arrived for it, newest first, without the payloads: all, or those that have started an execution, or
        have not."""
        return AsyncPages(self._session, Delivery, "triggers", trigger_id, "deliveries", limit=limit, started=started)

    async def delivery(self, trigger_id: str, delivery_id: str) -> Delivery:
        """Something that arrived, with its payload. Raises NotFound."""
        return await self._session.call(Delivery, "GET", "triggers", trigger_id, "deliveries", delivery_id)

    async def replay(self, trigger_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Execution:
        """Start an execution of today's version with a payload that arrived before."""
        segments = ("triggers", trigger_id, "deliveries", delivery_id, "replay")
        return await self._session.call(Execution, "POST", *segments, headers=keyed(idempotency_key))
