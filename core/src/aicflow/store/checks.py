"""What both stores ask of what they are given, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.executions import EventBatch, Labels, Projection, StoredAnswer, WorkflowLimit
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.values import dumps, loads
from aicflow.store.instants import now

_SETTLED = TERMINAL_STATUSES | {"waiting", "running"}


def check_events(batch: EventBatch) -> None:
    """Raises ValueError for an empty batch, one that begins below 1, and events that span lines: batches are kept one
    event a line."""
    if not batch.events or batch.first_seq < 1:
        raise ValueError("An event batch needs at least one event, and events are numbered from 1.")
    for event in batch.events:
        if b"\n" in event:
            raise ValueError("An event must be encoded on one line, as aicflow.kernel.values.dumps does.")


def check_unmoved(answer: StoredAnswer, events: Iterable[bytes]) -> None:
    """Raise Conflict when one of the events is of the step that is answered."""
    if any(loads(event).get("node_id") == answer.node_id for event in events):
        raise Conflict(f"Step {answer.node_id!r} has gone on meanwhile.", code="step-moved")


def check_append(batch: EventBatch, projection: Projection | None) -> None:
    """Raises ValueError for a batch that says nothing, for a status that no batch can lead to, and for an end without
    its instant."""
    if batch.events or projection is None:
        check_events(batch)
    if projection is None:
        return
    status = projection.status
    if status not in _SETTLED:
        raise ValueError(f"A batch cannot leave an execution {status!r}.")
    if (projection.finished_at is not None) != (status in TERMINAL_STATUSES):
        raise ValueError(f"A projection to {status!r} cannot have finished_at={projection.finished_at!r}.")


def next_state(
    before: StateEntry | None, key: str, value: Any, *, lifetime: float | None = None, version: int | None = None
) -> StateEntry:
    """The entry that comes after `before`. Raises Conflict."""
    current, instant = before.version if before is not None else 0, now()
    if version not in (None, current):
        there = f"is at version {current}" if current else "is not there"
        raise Conflict(
            f"The state {key!r} {there}, not at version {version}.",
            code="state-changed",
            hint="Read it again, and apply the change to what is there now.",
        )
    return StateEntry(key, value, current + 1, instant, None if lifetime is None else instant + lifetime)


def rotated_key(record: ApiKeyRecord | None, key_id: str, key_hash: str, previous_expires_at: float) -> ApiKeyRecord:
    """The key with another hash. Raises NotFound, Conflict."""
    if record is None:
        raise NotFound("API key", key_id)
    if record.revoked_at is not None:
        raise Conflict(f"API key {key_id!r} is revoked.", hint="Create a new one.")
    return replace(record, hash=key_hash, previous_hash=record.hash, previous_expires_at=previous_expires_at)


def check_quota(file: FileRecord, total: int, quota: int | None) -> None:
    """Raises Conflict when the file has no room beside those that are there."""
    if quota is not None and total + file.size > quota:
        raise Conflict(
            f"There is no room for {file.size:,} bytes: files have {total:,} of {quota:,} bytes already.",
            code="files-full",
            hint="Delete files or executions that hold them, or raise AICFLOW_FILES_QUOTA.",
        )


def file_in_use(file: FileRecord) -> Conflict:
    """The error of whoever would remove a file that executions hold."""
    many = f"{file.executions} executions hold" if file.executions > 1 else "An execution holds"
    return Conflict(
        f"{many} the file {file.sha256}.",
        code="file-in-use",
        hint="It is removed with the last execution that holds it.",
    )


def check_secret_version(name: str, current: int, expected: int) -> None:
    """Raises Conflict when the kept version of a secret, 0 for none, is not the expected one."""
    if current != expected:
        there = f"is at version {current}" if current else "is not there"
        raise Conflict(
            f"The secret {name!r} {there}, not at version {expected}.",
            code="revision",
            hint="Somebody changed it meanwhile; look at it and send the change again.",
        )


def check_limit(limit: int) -> None:
    """Raises ValueError for a page without room."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")


def has_labels(labels: Mapping[str, str], wanted: Labels) -> bool:
    """Whether every wanted label is there, with its value unless that is None."""
    return all(name in labels and value in (None, labels[name]) for name, value in wanted)


def is_within(workflow_id: str, labels: Mapping[str, str], within: WorkflowLimit | None) -> bool:
    """Whether a workflow with these labels is within a limit."""
    return within is None or workflow_id in within.ids or (bool(within.labels) and has_labels(labels, within.labels))


def spellings(text: str) -> set[str]:
    """How a text that is looked for may stand in JSON: as it is (`"total":17`), and inside of strings."""
    return {text, dumps(text)[1:-1].decode()}
