"""Calls on executions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from aicflow_sdk.call import Call, Listing, encode_json, instant, keyed, model, path, query
from aicflow_sdk.calls.workflows import Labels, id_of, labels_text
from aicflow_sdk.decode import decode
from aicflow_sdk.models import BulkResult, Event, Execution, ExecutionStatus, Step, Workflow
from aicflow_sdk.replies import Reply

__all__ = [
    "SAME", "bulk_cancel", "bulk_rerun", "cancel", "events_page", "get", "list_", "rerun", "resume", "start", "steps",
    "why",
]  # fmt: skip


class _Same:
    def __repr__(self) -> str:
        return "SAME"


SAME: Final = _Same()
"""The input that the execution had before."""

type Statuses = ExecutionStatus | Sequence[ExecutionStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    data: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsPage:
    """Events after the asked one; `last_seq` is the last of these."""

    data: tuple[Event, ...]
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Why:
    sentence: str


def start(
    workflow: str | Workflow,
    input: Any = None,
    *,
    version: int | None = None,
    priority: int = 0,
    engine: str | None = None,
    idempotency_key: str | None = None,
    wait: int = 0,
) -> Call[Execution]:
    """Start an execution; it is durable when this returns.

    It is sent with an idempotency key, one of its own unless given, so that sending it again after a lost reply gives
    the same execution. `version` is the newest unless named; higher `priority` is claimed first; `wait` is how many
    seconds the server may wait for its end before it answers. Raises NotFound, Conflict (the workflow is switched
    off), InputInvalid.
    """
    body: dict[str, Any] = {"workflow_id": id_of(workflow), "input": input}
    if version is not None:
        body["version"] = version
    if priority:
        body["priority"] = priority
    if engine is not None:
        body["engine"] = engine
    headers = keyed(idempotency_key)
    if wait > 0:
        headers["prefer"] = f"wait={int(wait)}"
    return Call(
        method="POST",
        path=path("executions"),
        body=encode_json(body),
        headers=headers,
        parse=model(Execution),
        repeatable=True,
        patience=float(max(0, wait)),
    )


def get(execution_id: str) -> Call[Execution]:
    """An execution with its input, and its output or error once it has ended. Raises NotFound."""
    return Call(method="GET", path=path("executions", execution_id), parse=model(Execution), repeatable=True)


def list_(
    *,
    workflow_id: str | None = None,
    status: Statuses | None = None,
    trigger_kind: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    labels: Labels | None = None,
    q: str | None = None,
    limit: int | None = None,
) -> Listing[Execution]:
    """Executions without their inputs and outputs, newest first; every given condition holds. At most `limit`.

    `labels` are those of their workflow (`{"team": "billing"}`, None for any value). `q` is a part of the input, the
    output, the error or a label, in any case of ASCII letters."""
    where = query(
        workflow_id=workflow_id,
        status=status,
        trigger_kind=trigger_kind,
        created_after=created_after,
        created_before=created_before,
        labels=labels_text(labels),
        q=q,
    )
    return Listing(path=path("executions") + where, item=Execution, limit=limit)


def cancel(execution_id: str) -> Call[Execution]:
    """Ask for its end, which comes within two seconds. After the end it changes nothing."""
    return Call(method="POST", path=path("executions", execution_id, "cancel"), parse=model(Execution), repeatable=True)


def resume(
    execution_id: str,
    value: Any = None,
    *,
    node_id: str | None = None,
    action: Literal["answered", "retry", "skip", "fail"] = "answered",
) -> Call[Execution]:
    """Answer a waiting step with `value`; `node_id` may be left out when one step waits. `retry`, `skip` and `fail`
    settle it otherwise. Raises Conflict when none waits, InputInvalid when the answer does not fit."""
    body: dict[str, Any] = {"action": action, "value": value}
    if node_id is not None:
        body["node_id"] = node_id
    return Call(
        method="POST", path=path("executions", execution_id, "resume"), body=encode_json(body), parse=model(Execution)
    )


def rerun(
    execution_id: str,
    *,
    input: Any = SAME,
    version: Literal["pinned", "latest"] | int = "pinned",
    from_node: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Execution]:
    """Make a new execution from an old one. `from_node` reuses the outputs of everything not downstream of it."""
    body: dict[str, Any] = {"version": version}
    if input is not SAME:
        body["input"] = input
    if from_node is not None:
        body["from_node"] = from_node
    return Call(
        method="POST",
        path=path("executions", execution_id, "rerun"),
        body=encode_json(body),
        headers=keyed(idempotency_key),
        parse=model(Execution),
        repeatable=True,
    )


def steps(execution_id: str) -> Call[tuple[Step, ...]]:
    """The steps with their outputs, in the order they first appeared."""

    def parse(reply: Reply) -> tuple[Step, ...]:
        return decode(_Steps, reply.json()).data

    return Call(method="GET", path=path("executions", execution_id, "steps"), parse=parse, repeatable=True)


def events_page(execution_id: str, after: int, limit: int) -> Call[EventsPage]:
    """At most `limit` events with a seq above `after`."""
    return Call(
        method="GET",
        path=path("executions", execution_id, "events") + query(after=after, limit=limit),
        parse=model(EventsPage),
        repeatable=True,
    )


def why(execution_id: str) -> Call[str]:
    """What it is doing, or why it ended as it did, in a sentence."""

    def parse(reply: Reply) -> str:
        return decode(_Why, reply.json()).sentence

    return Call(method="GET", path=path("executions", execution_id, "why"), parse=parse, repeatable=True)


def bulk_cancel(
    *,
    workflow_id: str | None = None,
    status: Statuses | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
    idempotency_key: str | None = None,
) -> Call[BulkResult]:
    """Cancel those that meet every condition (at least one must be given) and have not ended. A result for each."""
    body = _conditions(workflow_id, status, created_after, created_before, limit)
    return _bulk("bulk-cancel", body, idempotency_key)


def bulk_rerun(
    *,
    workflow_id: str | None = None,
    status: Statuses | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
    idempotency_key: str | None = None,
) -> Call[BulkResult]:
    """Rerun those that meet every condition (at least one must be given): failed and cancelled ones, unless `status`
    says which. A result for each: what fails for one holds up no other."""
    body = _conditions(workflow_id, status, created_after, created_before, limit)
    return _bulk("bulk-rerun", body, idempotency_key)


def _bulk(call: str, body: bytes, idempotency_key: str | None) -> Call[BulkResult]:
    return Call(
        method="POST",
        path=path("executions", call),
        body=body,
        headers=keyed(idempotency_key),
        parse=model(BulkResult),
        repeatable=True,
        patience=60.0,  # it does them one after the other
    )


def _conditions(
    workflow_id: str | None,
    status: Statuses | None,
    created_after: datetime | None,
    created_before: datetime | None,
    limit: int | None,
) -> bytes:
    given = {
        "workflow_id": workflow_id,
        "status": [status] if isinstance(status, str) else list(status) if status is not None else None,
        "created_after": instant("created_after", created_after) if created_after else None,
        "created_before": instant("created_before", created_before) if created_before else None,
        "limit": limit,
    }
    return encode_json({name: value for name, value in given.items() if value is not None})
