"""Who did what on the server."""

from __future__ import annotations

from datetime import datetime

from aicflow_sdk.messages import instant
from aicflow_sdk.models import AuditEntry, AuditReport
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages


class AsyncAudit(Resource):
    """Who did what on the server."""

    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncPages[AuditEntry]:
        """Audit entries, newest first; `target` is the thing, such as `workflows/wf_1`, or the id of what was made."""
        return AsyncPages(
            self._session,
            AuditEntry,
            "audit",
            limit=limit,
            actor=actor,
            action=action,
            target=target,
            since=instant("since", since) if since is not None else None,
            until=instant("until", until) if until is not None else None,
        )

    async def verify(self, *, expect: str | None = None) -> AuditReport:
        """Read the whole chain; `problems` is empty when it is whole. `expect` is the hash of an earlier report, which
        must still be in it."""
        return await self._session.call(AuditReport, "GET", "audit", "verify", query={"expect": expect})
