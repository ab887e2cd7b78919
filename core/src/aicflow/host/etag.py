"""Revisions as strong entity tags, and the preconditions that name them."""

from __future__ import annotations

import re
from typing import Final

from aicflow.host.problems import Problem, request_invalid
from aicflow.kernel.ports.tables import WorkflowRecord

__all__ = ["etag_of", "expected_revision", "is_unchanged"]

_TAG: Final = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|\Z)')


def etag_of(record: WorkflowRecord) -> str:
    """The record's tag. It names the creation too, so that a workflow made anew under an old id has other tags."""
    return f'"{int(record.created_at * 1000):x}-{record.revision}"'


def expected_revision(header: str | None, record: WorkflowRecord, *, required: bool) -> int | None:
    """The revision that `If-Match` asks for, None when any will do.

    Raises Problem: 428 when it is required and absent, 412 when the record has another, 422 when it cannot be read.
    """
    if header is None:
        if required:
            raise Problem(
                "precondition-required",
                "A change needs If-Match with the ETag of the workflow that was read.",
                hint="Read the workflow and send its ETag back, or send `If-Match: *` to overwrite whatever is there.",
            )
        return None
    if header.strip() == "*":
        return None
    if etag_of(record) not in _tags(header, "if-match"):  # a weak tag never matches here
        raise Problem(
            "revision-mismatch",
            f"The workflow is at revision {record.revision}, which is not the one the request is about.",
            hint="Read it again, apply the change to what is there now, and send its new ETag.",
        )
    return record.revision


def is_unchanged(header: str | None, record: WorkflowRecord) -> bool:
    """Whether `If-None-Match` names what is there."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return etag_of(record) in {tag.removeprefix("W/") for tag in _tags(header, "if-none-match")}


def _tags(header: str, name: str) -> set[str]:
    tags: set[str] = set()
    position = 0
    while position < len(header):
        found = _TAG.match(header, position)
        if found is None:
            raise request_invalid(
                "invalid",
                f"{header[:80]!r} is not a list of entity tags",
                name=name,
                where="header",
                hint='Send the ETag as it was given, quotes included: If-Match: "18f-3".',
            )
        tags.add(found[1])
        position = found.end()
    if not tags:
        raise request_invalid("invalid", "it is empty", name=name, where="header")
    return tags
