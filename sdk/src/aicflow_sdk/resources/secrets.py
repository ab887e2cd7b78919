"""Secrets: written, listed, never read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aicflow_sdk.messages import without_none
from aicflow_sdk.models import Secret, SecretRotation, SecretsCheck
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages


class AsyncSecrets(Resource):
    """Secrets. Their values go to the server and never come back."""

    def list(self, *, limit: int | None = None) -> AsyncPages[Secret]:
        """The secrets of every source that lists them, by name, with who uses them."""
        return AsyncPages(self._session, Secret, "secrets", limit=limit)

    async def get(self, name: str) -> Secret:
        """One secret that is kept in the store. Raises NotFound."""
        return await self._session.call(Secret, "GET", "secrets", name)

    async def put(
        self,
        name: str,
        value: str | None = None,
        *,
        description: str | None = None,
        workflows: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        create: bool = False,
    ) -> Secret:
        """Keep a secret. What is None stays as it is; a new secret needs a value. With `workflows` (ids) or `labels`
        only those workflows may use it; empty ones take the limit away. With `create`, only if there is none. Raises
        NotFound, RevisionMismatch, Invalid."""
        body: dict[str, Any] = without_none(
            value=value,
            description=description,
            workflows=None if workflows is None else [*workflows],
            labels=None if labels is None else dict(labels),
        )
        headers = {"If-None-Match": "*"} if create else None
        return await self._session.call(
            Secret, "PUT", "secrets", name, json=body, headers=headers, repeatable=not create
        )

    async def delete(self, name: str, *, force: bool = False) -> None:
        """Forget a secret. Raises NotFound; Conflict while a workflow uses it, unless `force`."""
        query = {"force": True} if force else None
        await self._session.call(type(None), "DELETE", "secrets", name, query=query, gone_is_done=True)

    async def check(self) -> SecretsCheck:
        """Whether each secret that a workflow names is there for it, and whether the key fits all that are stored."""
        return await self._session.call(SecretsCheck, "GET", "secrets-check")

    async def rotate_key(self) -> SecretRotation:
        """Wrap the key of every secret with the server's current key, or with a new one where the server keeps its key
        itself."""
        return await self._session.call(SecretRotation, "POST", "secrets-key", "rotate")
