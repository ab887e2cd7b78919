"""Strong entity tags of workflows and of bytes, the preconditions that name them, and parts of bytes (RFC 9110)."""

from __future__ import annotations

import asyncio
import re
from hashlib import blake2b
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from aicflow.host.problems import Problem, request_invalid
from aicflow.kernel.ports.workflows import WorkflowRecord
from aicflow.kernel.values import dumps
from aicflow.texts import cut

_TAG: Final = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|\Z)')


TAGS: Final = {"type": "string", "pattern": r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'}
"""The schema of a header with entity tags."""


def etag_of(record: WorkflowRecord) -> str:
    """The record's tag. It names the creation too, so that a workflow made anew under an old id has other tags."""
    return etag_of_version(record.created_at, record.revision)


def etag_of_version(created_at: float, version: int) -> str:
    """The tag of what has a version. It names the creation too, as `etag_of` does."""
    return f'"{int(created_at * 1000):x}-{version}"'


def only_if_absent(request: Request) -> bool:
    """Whether a change is made only if there is nothing yet (`If-None-Match: *`). Raises Problem."""
    header = request.headers.get("if-none-match")
    if header is not None and header.strip() != "*":
        message = "only * is taken here: the change is made if there is nothing yet"
        raise request_invalid("invalid", message, name="if-none-match", where="header")
    return header is not None


def expected_version(request: Request, etag: str | None, version: int) -> int | None:
    """The version that a change is about: None when any will do, 0 when there must be none. Raises Problem
    (`revision-mismatch`) when what is there is not what the request names."""
    if only_if_absent(request):
        return 0
    header = request.headers.get("if-match")
    if header is None or (header.strip() == "*" and etag is not None):
        return None
    if header.strip() == "*" or etag not in _tags(header, "if-match"):
        raise Problem(
            "revision-mismatch",
            f"It is at version {version}, which is not the one the request is about."
            if version
            else "It is not there.",
            hint="Read it again, apply the change to what is there now, and send its new ETag.",
        )
    return version


def etag_of_value(value: Any) -> str:
    """The tag of what has no version: of what it is."""
    return f'"{_digest(dumps(value))}"'


def check_match(request: Request, etag: str) -> None:
    """Raises Problem (`revision-mismatch`) when `If-Match` names something else than what is there."""
    header = request.headers.get("if-match", "*").strip()
    if header != "*" and etag not in _tags(header, "if-match"):
        raise Problem(
            "revision-mismatch",
            "It has changed since it was read.",
            hint="Read it again, apply the change to what is there now, and send its new ETag.",
        )


IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": TAGS,
    "description": "Only if it has this ETag",
}
ETAG_HEADER: Final[dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "What it is now, for If-Match"}
}


def expected_revision(header: str | None, record: WorkflowRecord, *, required: bool) -> int | None:
    """The revision that `If-Match` asks for, None when any will do.

    Raises Problem: 428 when it is required and absent, 412 when the record has another, 422 when it cannot be read.
    """
    if header is None:
        if required:
            raise Problem(
                "precondition-required",
                "A change needs If-Match with the ETag of the workflow that was read.",
                hint="Read the workflow and send its ETag back, or `If-Match: *` to overwrite the current version.",
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


def is_unchanged(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names what is there."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return etag in {tag.removeprefix("W/") for tag in _tags(header, "if-none-match")}


_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*\Z", re.IGNORECASE | re.ASCII)
_HASHED_ON_THE_LOOP: Final = 256 * 1024
BYTES_HEADERS: Final[dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}},
}
BYTES_PARAMETERS: Final[list[dict[str, Any]]] = [
    {"name": name, "in": "header", "required": False, "description": text, "schema": schema}
    for name, text, schema in (
        ("Range", "One range, such as `bytes=0-1048575`; several, or another unit, return all", {"type": "string"}),
        ("If-Range", "The ETag that the range is of; when it has changed, all is sent", {"type": "string"}),
        ("If-None-Match", "ETags that the caller has", TAGS),
    )
]


async def bytes_response(request: Request, data: bytes) -> Response:
    """JSON in bytes, whole or the range that the request asks for. Raises Problem `range-not-satisfiable`."""
    digest = asyncio.to_thread(_digest, data) if len(data) > _HASHED_ON_THE_LOOP else None
    etag = f'"{await digest if digest else _digest(data)}"'
    headers = {"etag": etag, "accept-ranges": "bytes"}
    if is_unchanged(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    size, wanted = len(data), request.headers.get("range", "")
    part = part_of(wanted, size) if request.headers.get("if-range", etag) == etag else None
    if part is None:
        return Response(data, headers=headers, media_type="application/json")
    if not part:
        message = f"There are {size:,} bytes; {cut(wanted, 80)!r} names none of them."
        raise Problem("range-not-satisfiable", message, headers={"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return Response(data[part.start : part.stop], 206, headers, "application/json")


def part_of(header: str, size: int) -> range | None:
    """The bytes that a Range header names; None when it is absent, or to be ignored."""
    found = _RANGE.match(header)
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return range(max(size - int(last), 0), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def _tags(header: str, name: str) -> set[str]:
    tags: set[str] = set()
    position = 0
    while position < len(header):
        found = _TAG.match(header, position)
        if found is None:
            raise request_invalid(
                "invalid",
                f"{cut(header, 80)!r} is not a list of entity tags",
                name=name,
                where="header",
                hint='Send the ETag as it was received, quotes included: If-Match: "18f-3".',
            )
        tags.add(found[1])
        position = found.end()
    if not tags:
        raise request_invalid("invalid", "it is empty", name=name, where="header")
    return tags
