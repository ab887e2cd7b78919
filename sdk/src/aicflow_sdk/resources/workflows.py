"""Saving, reading, validating and comparing workflows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aicflow_sdk.documents import Diff, WorkflowSource, document_bytes, document_of
from aicflow_sdk.documents import diff as compare
from aicflow_sdk.errors import BuildError, Conflict, NotFound, RevisionMismatch
from aicflow_sdk.messages import keyed
from aicflow_sdk.models import Callers, Validation, Workflow, WorkflowVersion
from aicflow_sdk.resources.base import Labels, Resource, id_of, labels_text
from aicflow_sdk.session import AsyncPages

_DEPLOY_ATTEMPTS = 3


class AsyncWorkflows(Resource):
    """Saving, reading, validating and comparing workflows."""

    async def create(
        self,
        document: WorkflowSource,
        *,
        id: str | None = None,
        enabled: bool = True,
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Save a new workflow: one built in Python, a dict, or a Path to a JSON or YAML file. `id` is one of your own
        (letters, digits, `_`, `-`). Raises WorkflowInvalid with every finding when the document has errors."""
        return await self._session.call(
            Workflow,
            "POST",
            "workflows",
            query={"id": id, "enabled": None if enabled else False},
            content=document_bytes(document),
            headers=keyed(idempotency_key),
        )

    async def deploy(self, document: WorkflowSource, *, id: str | None = None) -> Workflow:
        """Save a workflow under its id, whether it exists or not; `outcome` of the result says what was done:
        `created`, `updated` or `unchanged`. Without `id`, the id is the workflow's name with `-` for what no id may
        hold (a Path needs an `id`); a saved workflow of that id with another name is left alone. A workflow that is
        switched off stays so. Raises WorkflowInvalid, BuildError."""
        name = None if isinstance(document, Path) else document_of(document).get("name")
        workflow_id = id or id_for(name)
        if not workflow_id:
            raise BuildError(f"No id follows from {document if name is None else repr(name)}.", hint="Pass id=….")
        for left in reversed(range(_DEPLOY_ATTEMPTS)):
            try:
                try:
                    before = await self.get(workflow_id)
                except NotFound:
                    return replace(await self.create(document, id=workflow_id), outcome="created")
                if id is None and before.name != name:
                    raise BuildError(
                        f"The workflow {workflow_id!r} exists already and has another name: {before.name!r}.",
                        hint=f"Pass id={workflow_id!r} to replace it, or another id.",
                    )
                after = await self.update(before, document)
                return replace(after, outcome="unchanged" if after.version == before.version else "updated")
            except (Conflict, RevisionMismatch):  # somebody else saves it at this moment
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def get(self, workflow_id: str) -> Workflow:
        """A workflow with its newest document and its `etag`. Raises NotFound."""
        return await self._session.call(Workflow, "GET", "workflows", workflow_id)

    def list(
        self,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        labels: Labels | None = None,
        limit: int | None = None,
    ) -> AsyncPages[Workflow]:
        """Workflows without their documents, newest first; `name` is a part of the name in any case, `labels` those
        that it has (`{"team": "billing"}`, None for any value). At most `limit`."""
        where = {"name": name, "enabled": enabled, "labels": labels_text(labels)}
        return AsyncPages(self._session, Workflow, "workflows", limit=limit, **where)

    async def update(self, workflow: str | Workflow, document: WorkflowSource, *, etag: str | None = None) -> Workflow:
        """Save a new version; an equal document makes none.

        Given a Workflow that was read, the change is refused with RevisionMismatch when somebody else has changed it
        since; with an id alone, the newest version is replaced, whatever it is. `etag` overrides both.
        """
        headers = _if_match(workflow, etag) or {"if-match": "*"}
        return await self._session.call(
            Workflow,
            "PUT",
            "workflows",
            id_of(workflow),
            content=document_bytes(document),
            headers=headers,
            repeatable=headers["if-match"] == "*",
        )

    async def delete(self, workflow: str | Workflow, *, etag: str | None = None) -> None:
        """Delete a workflow; its executions stay. Given a Workflow that was read, only when nobody has changed it
        since."""
        headers = _if_match(workflow, etag)
        await self._session.call(type(None), "DELETE", "workflows", id_of(workflow), headers=headers, gone_is_done=True)

    async def enable(self, workflow: str | Workflow) -> Workflow:
        """Let it start executions."""
        return await self._session.call(Workflow, "PATCH", "workflows", id_of(workflow), json={"enabled": True})

    async def disable(self, workflow: str | Workflow) -> Workflow:
        """Let it start nothing any more; executions under way go on."""
        return await self._session.call(Workflow, "PATCH", "workflows", id_of(workflow), json={"enabled": False})

    def versions(self, workflow: str | Workflow, *, limit: int | None = None) -> AsyncPages[WorkflowVersion]:
        """The versions without their documents, newest first."""
        return AsyncPages(self._session, WorkflowVersion, "workflows", id_of(workflow), "versions", limit=limit)

    async def version(self, workflow: str | Workflow, number: int) -> WorkflowVersion:
        """One version with its document. Raises NotFound."""
        segments = ("workflows", id_of(workflow), "versions", str(number))
        return await self._session.call(WorkflowVersion, "GET", *segments)

    async def restore(self, workflow: str | Workflow, number: int) -> Workflow:
        """Make an old version the newest one. Raises WorkflowInvalid when it is not valid with what is installed
        today."""
        segments = ("workflows", id_of(workflow), "versions", str(number), "restore")
        return await self._session.call(Workflow, "POST", *segments)

    async def validate(self, document: WorkflowSource, *, id: str | None = None) -> Validation:
        """All findings about a document, which is not saved; with the `id` of the workflow that it is to be, also what
        would be wrong with those that call it. Raises BadRequest only for a file that cannot be read."""
        content = document_bytes(document)
        return await self._session.call(
            Validation, "POST", "workflows", "validate", query={"id": id}, content=content, repeatable=True
        )

    async def callers(self, workflow: str | Workflow) -> Callers:
        """Where enabled workflows name this one: to call it, or to be started when it ends."""
        return await self._session.call(Callers, "GET", "workflows", id_of(workflow), "callers")

    async def diff(self, workflow: str | Workflow, old: int, new: int | None = None) -> Diff:
        """What has changed in meaning between two versions of a workflow; `new` is the newest by default."""
        before = await self.version(workflow, old)
        after = await (self.get(id_of(workflow)) if new is None else self.version(workflow, new))
        return compare(before.document or {}, after.document or {})


def id_for(name: str | None) -> str:
    """The id under which `deploy` saves a workflow of this name."""
    return re.sub(r"^(?=\d)", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", str(name or "")).strip("-"))[:64]


def _if_match(workflow: str | Workflow, etag: str | None) -> Mapping[str, str]:
    tag = etag or (workflow.etag if isinstance(workflow, Workflow) else None)
    return {"if-match": tag} if tag else {}
