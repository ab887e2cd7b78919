"""Calls on workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aicflow_sdk.call import Call, Listing, encode_json, keyed, model, nothing, path, query
from aicflow_sdk.decode import decode
from aicflow_sdk.documents import WorkflowSource, document_bytes
from aicflow_sdk.models import Validation, Workflow, WorkflowVersion
from aicflow_sdk.replies import Reply

__all__ = [
    "create", "delete", "disable", "enable", "get", "id_of", "list_", "restore", "update", "validate", "version",
    "versions",
]  # fmt: skip


def id_of(workflow: str | Workflow) -> str:
    """The id of a workflow that was read, or the id itself."""
    return workflow.id if isinstance(workflow, Workflow) else workflow


type Labels = Mapping[str, str | None]


def labels_text(labels: Labels | None) -> str | None:
    """The labels as a query says them."""
    return ",".join(k if v is None else f"{k}={v}" for k, v in labels.items()) if labels else None


def _workflow(reply: Reply) -> Workflow:
    return replace(decode(Workflow, reply.json()), etag=reply.headers.get("etag"))


def _if_match(workflow: str | Workflow, etag: str | None, otherwise: str | None) -> dict[str, str]:
    tag = etag or (workflow.etag if isinstance(workflow, Workflow) else None) or otherwise
    return {"if-match": tag} if tag else {}


def create(
    document: WorkflowSource, *, id: str | None = None, enabled: bool = True, idempotency_key: str | None = None
) -> Call[Workflow]:
    """Save a new workflow: one built in Python, a dict, or a Path to a JSON or YAML file. `id` is one of your own
    (letters, digits, `_`, `-`). Raises WorkflowInvalid with every finding when the document has errors."""
    body, kind = document_bytes(document)
    return Call(
        method="POST",
        path=path("workflows") + query(id=id, enabled=None if enabled else False),
        body=body,
        content_type=kind,
        headers=keyed(idempotency_key),
        parse=_workflow,
        repeatable=True,
    )


def get(workflow_id: str) -> Call[Workflow]:
    """A workflow with its newest document and its `etag`. Raises NotFound."""
    return Call(method="GET", path=path("workflows", workflow_id), parse=_workflow, repeatable=True)


def list_(
    *,
    name: str | None = None,
    enabled: bool | None = None,
    labels: Labels | None = None,
    limit: int | None = None,
) -> Listing[Workflow]:
    """Workflows without their documents, newest first; `name` is a part of the name in any case, `labels` those that
    it has (`{"team": "billing"}`, None for any value). At most `limit`."""
    where = query(name=name, enabled=enabled, labels=labels_text(labels))
    return Listing(path=path("workflows") + where, item=Workflow, limit=limit)


def update(workflow: str | Workflow, document: WorkflowSource, *, etag: str | None = None) -> Call[Workflow]:
    """Save a new version; an equal document makes none.

    Given a Workflow that was read, the change is refused with RevisionMismatch when somebody else has changed it
    since; given an id alone, whatever is there is replaced. `etag` overrides both.
    """
    body, kind = document_bytes(document)
    headers = _if_match(workflow, etag, "*")
    return Call(
        method="PUT",
        path=path("workflows", id_of(workflow)),
        body=body,
        content_type=kind,
        headers=headers,
        parse=_workflow,
        repeatable=headers["if-match"] == "*",
    )


def delete(workflow: str | Workflow, *, etag: str | None = None) -> Call[None]:
    """Delete a workflow; its executions stay. Given a Workflow that was read, only when nobody has changed it since."""
    return Call(
        method="DELETE",
        path=path("workflows", id_of(workflow)),
        headers=_if_match(workflow, etag, None),
        parse=nothing,
        repeatable=True,
        gone_is_done=True,
    )


def enable(workflow: str | Workflow) -> Call[Workflow]:
    """Let it start executions."""
    return _switch(workflow, True)


def disable(workflow: str | Workflow) -> Call[Workflow]:
    """Let it start nothing any more; executions under way go on."""
    return _switch(workflow, False)


def _switch(workflow: str | Workflow, enabled: bool) -> Call[Workflow]:
    return Call(
        method="PATCH",
        path=path("workflows", id_of(workflow)),
        body=encode_json({"enabled": enabled}),
        parse=_workflow,
        repeatable=True,
    )


def versions(workflow: str | Workflow, *, limit: int | None = None) -> Listing[WorkflowVersion]:
    """The versions without their documents, newest first."""
    return Listing(path=path("workflows", id_of(workflow), "versions"), item=WorkflowVersion, limit=limit)


def version(workflow: str | Workflow, number: int) -> Call[WorkflowVersion]:
    """One version with its document. Raises NotFound."""
    return Call(
        method="GET",
        path=path("workflows", id_of(workflow), "versions", str(number)),
        parse=model(WorkflowVersion),
        repeatable=True,
    )


def restore(workflow: str | Workflow, number: int) -> Call[Workflow]:
    """Make an old version the newest one. Raises WorkflowInvalid when it is not valid with what is installed today."""
    return Call(
        method="POST",
        path=path("workflows", id_of(workflow), "versions", str(number), "restore"),
        parse=_workflow,
    )


def validate(document: WorkflowSource) -> Call[Validation]:
    """All findings about a document, which is not saved. Raises BadRequest only for a file that cannot be read."""
    body, kind = document_bytes(document)
    return Call(
        method="POST",
        path=path("workflows", "validate"),
        body=body,
        content_type=kind,
        parse=model(Validation),
        repeatable=True,
    )
