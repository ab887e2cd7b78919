"""The server itself: what is installed on it, its API keys, whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from aicflow_sdk.messages import instant, keyed, without_none
from aicflow_sdk.models import (
    ApiKey,
    CreatedApiKey,
    DoctorReport,
    NodeType,
    Plugin,
    Readiness,
    Ticket,
    TriggerType,
    Workflow,
)
from aicflow_sdk.resources.base import Resource, id_of
from aicflow_sdk.session import AsyncPages


class AsyncHost(Resource):
    """The server as a whole."""

    async def ready(self) -> Readiness:
        """Whether the server can accept and run executions; not an error when it cannot."""
        return await self._session.call(Readiness, "GET", "readyz", api=False, accept=503)

    async def doctor(self) -> DoctorReport:
        """What is wrong with the installation, as the server sees it; takes seconds. Needs the scope `admin`."""
        return await self._session.call(DoctorReport, "GET", "doctor")

    async def ticket(self, *, use: Literal["stream", "session"] = "stream") -> Ticket:
        """A ticket for a page of a browser, which cannot send a key with a stream: it opens one stream, within a
        minute, with what this client's key may read; or one session, within 10 minutes, with all that it may do."""
        return await self._session.call(Ticket, "POST", "tickets", query=None if use == "stream" else {"use": use})

    async def schema(self) -> Any:
        """The JSON Schema of the workflow document, with the params of every installed type."""
        return await self._session.call(object, "GET", "schema", "workflow")


class AsyncNodeTypes(Resource):
    """The installed node types."""

    def list(self, *, limit: int | None = None) -> AsyncPages[NodeType]:
        """The installed node types by id, the newest version of each."""
        return AsyncPages(self._session, NodeType, "node-types", limit=limit)

    async def get(self, type_id: str) -> NodeType:
        """One node type. Raises NotFound."""
        return await self._session.call(NodeType, "GET", "node-types", type_id)

    async def configure(
        self, type_id: str, *, enabled: bool | None = None, default_params: Mapping[str, Any] | None = None
    ) -> NodeType:
        """Switch a node type off or on, or set its default params; effective at once. What is left out stays."""
        changes = without_none(enabled=enabled, default_params=default_params)
        return await self._session.call(NodeType, "PATCH", "node-types", type_id, json=changes)


class AsyncTriggerTypes(Resource):
    """The installed trigger types."""

    def list(self, *, limit: int | None = None) -> AsyncPages[TriggerType]:
        """The installed trigger types by id."""
        return AsyncPages(self._session, TriggerType, "trigger-types", limit=limit)

    async def get(self, type_id: str) -> TriggerType:
        """One trigger type. Raises NotFound."""
        return await self._session.call(TriggerType, "GET", "trigger-types", type_id)


class AsyncPlugins(Resource):
    """The installed plugins."""

    def list(self, *, limit: int | None = None) -> AsyncPages[Plugin]:
        """The installed plugins, those that failed too, with the reason."""
        return AsyncPages(self._session, Plugin, "plugins", limit=limit)

    async def get(self, name: str) -> Plugin:
        """One plugin. Raises NotFound."""
        return await self._session.call(Plugin, "GET", "plugins", name)


class AsyncApiKeys(Resource):
    """API keys."""

    async def create(
        self,
        name: str,
        scopes: Sequence[Literal["read", "write", "execute", "admin"]],
        *,
        expires_at: datetime | None = None,
        workflows: Sequence[str | Workflow] = (),
        labels: Mapping[str, str] | None = None,
        addresses: Sequence[str] = (),
        max_queued: int | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedApiKey:
        """A new API key; `key` is in this result only. `admin` includes every other scope. With `workflows` or `labels`
        it reaches these workflows and those that have all of the labels; `addresses` (`10.0.0.0/8`) are those that it
        may be used from, `max_queued` how many executions that it started may be queued at once."""
        body: dict[str, Any] = {"name": name, "scopes": [scopes] if isinstance(scopes, str) else [*scopes]}
        if workflows:
            body["workflows"] = [id_of(workflow) for workflow in workflows]
        if labels:
            body["labels"] = {**labels}
        if addresses:
            body["addresses"] = [*addresses]
        if max_queued is not None:
            body["max_queued"] = max_queued
        if expires_at is not None:
            body["expires_at"] = instant("expires_at", expires_at)
        headers = keyed(idempotency_key)
        return await self._session.call(CreatedApiKey, "POST", "api-keys", json=body, headers=headers)

    def list(self, *, limit: int | None = None) -> AsyncPages[ApiKey]:
        """The API keys, newest first, revoked ones too; never the keys themselves."""
        return AsyncPages(self._session, ApiKey, "api-keys", limit=limit)

    async def rotate(
        self, key_id: str, *, overlap: float | None = None, idempotency_key: str | None = None
    ) -> CreatedApiKey:
        """Replace a key by another with the same id, scopes and limits; `key` is in this result only. The one until now
        counts for `overlap` seconds more (a day unless said). Raises NotFound, Conflict (it is revoked)."""
        body, headers = without_none(overlap=overlap), keyed(idempotency_key)
        return await self._session.call(CreatedApiKey, "POST", "api-keys", key_id, "rotate", json=body, headers=headers)

    async def revoke(self, key_id: str) -> None:
        """Revoke a key, effective at once. Raises NotFound."""
        await self._session.call(type(None), "DELETE", "api-keys", key_id, gone_is_done=True)
