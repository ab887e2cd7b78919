"""What workflows keep between their executions."""

from __future__ import annotations

from typing import Any

from aicflow_sdk.models import StateEntry, Workflow
from aicflow_sdk.resources.base import Resource, id_of
from aicflow_sdk.session import AsyncPages


class AsyncState(Resource):
    """What workflows keep between their executions."""

    def list(
        self, workflow: str | Workflow, *, prefix: str | None = None, limit: int | None = None
    ) -> AsyncPages[StateEntry]:
        """The entries of a workflow by key; with `prefix`, those whose keys begin so."""
        return AsyncPages(self._session, StateEntry, "workflows", id_of(workflow), "state", limit=limit, prefix=prefix)

    async def get(self, workflow: str | Workflow, key: str) -> StateEntry:
        """One entry. Raises NotFound."""
        return await self._session.call(StateEntry, "GET", "workflows", id_of(workflow), "state", key)

    async def put(
        self,
        workflow: str | Workflow,
        key: str,
        value: Any,
        *,
        lifetime: float | None = None,
        version: int | None = None,
    ) -> StateEntry:
        """Keep a value, for `lifetime` seconds when that is given. With `version`, only if the entry has it (0: only if
        there is none). Raises NotFound (the workflow), RevisionMismatch."""
        body = {"value": value} if lifetime is None else {"value": value, "lifetime": lifetime}
        segments = ("workflows", id_of(workflow), "state", key)
        return await self._session.call(
            StateEntry, "PUT", *segments, json=body, headers=_condition(version), repeatable=version is None
        )

    async def delete(self, workflow: str | Workflow, key: str, *, version: int | None = None) -> None:
        """Forget an entry. Raises NotFound, RevisionMismatch."""
        segments = ("workflows", id_of(workflow), "state", key)
        await self._session.call(
            type(None), "DELETE", *segments, headers=_condition(version), gone_is_done=version is None
        )


def _condition(version: int | None) -> dict[str, str] | None:
    if version is None:
        return None
    return {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}
