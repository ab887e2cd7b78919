"""What the server keeps about a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_sdk.messages import without_none
from aicflow_sdk.models import ProcessingRecord, SubjectErased, SubjectExport, SubjectFound
from aicflow_sdk.resources.base import Resource


class AsyncSubjects(Resource):
    """What the server keeps about a person: `value` as inputs name them (`settings.subject` of the workflows), or
    `labels` of workflows that are about nobody else."""

    async def find(self, value: str | int | None = None, *, labels: Mapping[str, str] | None = None) -> SubjectFound:
        """Everything that is kept."""
        return await self._session.call(
            SubjectFound, "POST", "subjects", "find", json=_body(value, labels), repeatable=True
        )

    async def export(self, value: str | int | None = None, *, labels: Mapping[str, str] | None = None) -> SubjectExport:
        """All of it, with what is in it."""
        return await self._session.call(
            SubjectExport, "POST", "subjects", "export", json=_body(value, labels), repeatable=True
        )

    async def erase(
        self,
        value: str | int | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        cancel: bool = False,
        dry_run: bool = False,
    ) -> SubjectErased:
        """Remove all of it for good; `traces` says where it can still be read, such as backups. `cancel` cancels
        executions that have not ended. Raises Conflict."""
        body = {**_body(value, labels), "cancel": cancel, "dry_run": dry_run}
        return await self._session.call(SubjectErased, "POST", "subjects", "erase", json=body, repeatable=True)

    async def record(self) -> ProcessingRecord:
        """The record of processing: what each workflow does with personal data, and how long it is kept."""
        return await self._session.call(ProcessingRecord, "GET", "subjects", "record")


def _body(value: str | int | None, labels: Mapping[str, str] | None) -> dict[str, Any]:
    return without_none(value=value, labels=labels)
