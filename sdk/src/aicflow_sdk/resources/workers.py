"""The workers of a site."""

from __future__ import annotations

from aicflow_sdk.models import Worker
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages


class AsyncWorkers(Resource):
    """The workers of a site."""

    def list(self, *, limit: int | None = None) -> AsyncPages[Worker]:
        """Those that are alive, oldest first: what each can run, from which queues, and how much it runs."""
        return AsyncPages(self._session, Worker, "workers", limit=limit)
