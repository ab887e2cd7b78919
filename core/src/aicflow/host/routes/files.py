"""/files: contents that are too large for JSON, or no JSON at all; executions take and return them by reference.

Who knows the hash of a content may read it: so keys that are limited to workflows may too, but may neither list files
nor delete them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from aicflow.engine.files import clean_name
from aicflow.host.etag import BYTES_HEADERS, BYTES_PARAMETERS, is_unchanged, part_of
from aicflow.host.pages import json_response, page_response
from aicflow.host.problems import Problem
from aicflow.host.routes.common import NoQuery, Paging, call, problems, router, runtime_of, scoped
from aicflow.host.views import file_view
from aicflow.kernel.errors import Conflict
from aicflow.texts import cut

routes = router("files")

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the content")]
_DRAINED_BYTES: Final = 64 * 1024 * 1024
_DRAINED_SECONDS: Final = 10.0
_UNTYPED: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
"""What clients send when nobody says what the body is."""
_BYTES: Final[dict[str, Any]] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_BODY: Final[dict[str, Any]] = {"required": False, "content": _BYTES}


class UploadQuery(BaseModel):
    """What the file is called."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=1000, description="Its name; of a path the last part")
    type: str | None = Field(
        default=None, max_length=400, description="Its media type; the request's Content-Type when not given"
    )


class DownloadQuery(BaseModel):
    """How it is saved."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=1000, description="The name under which it is saved")


@routes.post(
    "/files",
    summary="Upload a file",
    openapi_extra={"requestBody": _BODY},
    **call("execute", "StoredFile", 408, 413, 415, 507, status=201, limited="open"),
)
async def upload_file(request: Request, query: Annotated[UploadQuery, Query()]) -> Response:
    """The body is the file. Durable when this answers; nothing is kept of a body that breaks off. `file` in the answer
    is what an execution's input names it by. Uploading the same content again makes no second file. One that no
    execution takes is removed after a time (`expires_at`)."""
    files = runtime_of(request).files
    given = request.headers.get("content-type", "")
    try:
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem("unsupported-media-type", "Compressed bodies are not supported.")
        if given.lower().startswith("multipart/"):
            raise Problem("unsupported-media-type", "The body must be the file itself, not a form.")
        size = request.headers.get("content-length", "")
        if size.isdigit():
            quota = files.limits.quota
            files.check_size(int(size), None if quota is None else quota - await files.store.total_bytes())
        name = query.name or None
        type = query.type or (None if given.partition(";")[0].strip().lower() in _UNTYPED else given)
        record = await files.write(request.stream(), name=name, type=type, lifetime=files.limits.lifetime)
    except (Conflict, Problem):
        if "expect" not in request.headers:  # else it has sent nothing yet
            await _drain(request)
        raise
    return json_response(file_view(record), 201, {"location": f"/api/v1/files/{record.sha256}"})


async def _drain(request: Request) -> None:
    """Read what the client still sends, up to a bound: most read the answer only when they are done sending."""
    taken = 0
    try:
        async with asyncio.timeout(_DRAINED_SECONDS):
            while taken < _DRAINED_BYTES:
                message = await request.receive()
                taken += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


@routes.get("/files", summary="List files, newest first", **call("read", "StoredFilePage"))
async def list_files(request: Request, query: Paging) -> Response:
    """With how many executions hold each."""
    return await page_response(runtime_of(request).store.files.list(limit=query.limit, cursor=query.cursor), file_view)


@routes.get(
    "/files/{sha256}",
    summary="Download a file",
    response_class=Response,
    responses={
        200: {"description": "The content", "headers": BYTES_HEADERS, "content": _BYTES},
        206: {"description": "The part that Range asks for", "headers": BYTES_HEADERS, "content": _BYTES},
        304: {"description": "The caller has it", "headers": BYTES_HEADERS},
        **problems(404, 416),
    },
    dependencies=scoped("read", "open"),
    openapi_extra={"parameters": BYTES_PARAMETERS},
)
async def download_file(request: Request, sha256: Sha256, query: Annotated[DownloadQuery, Query()]) -> Response:
    """Always as an attachment: a browser shows nothing of it. A download that broke off goes on with `Range`."""
    return await _answer(request, sha256, query)


@routes.head(
    "/files/{sha256}",
    summary="Show the headers of a download",
    response_class=Response,
    responses={
        200: {"description": "As of the download", "headers": BYTES_HEADERS, "content": _BYTES},
        206: {"description": "As of the download of a part", "headers": BYTES_HEADERS, "content": _BYTES},
        304: {"description": "The caller has it", "headers": BYTES_HEADERS},
        **problems(404, 416),
    },
    dependencies=scoped("read", "open"),
    openapi_extra={"parameters": BYTES_PARAMETERS},
)
async def head_file(request: Request, sha256: Sha256, query: Annotated[DownloadQuery, Query()]) -> Response:
    """Its size (`Content-Length`), type and name."""
    return await _answer(request, sha256, query)


async def _answer(request: Request, sha256: str, query: DownloadQuery) -> Response:
    files = runtime_of(request).files
    record = await files.store.get(sha256)
    headers = {
        "etag": (etag := f'"{sha256}"'),
        "accept-ranges": "bytes",
        "content-disposition": _disposition(clean_name(query.name) or record.name or sha256),
        "content-type": record.type,
    }
    if is_unchanged(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={"etag": etag})
    part, status = range(record.size), 200
    if request.headers.get("if-range", etag) == etag:
        wanted = part_of(request.headers.get("range", ""), record.size)
        if wanted is not None:
            if not wanted:
                raise Problem(
                    "range-not-satisfiable",
                    f"The file has {record.size:,} bytes; {cut(request.headers['range'], 80)!r} names none of them.",
                    headers={"content-range": f"bytes */{record.size}"},
                )
            part, status = wanted, 206
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{record.size}"
    headers["content-length"] = str(len(part))
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    data = files.read(record, part.start, part.stop)
    first = await anext(data, b"")  # what is lost is said before anything is sent
    return StreamingResponse(_all(first, data), status, headers)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for data in rest:
        yield data


def _disposition(name: str) -> str:
    plain = "".join(one if " " <= one <= "~" and one not in '"\\%' else "_" for one in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


@routes.delete("/files/{sha256}", summary="Delete a file", **call("write", None, 404, 409, status=204))
async def delete_file(request: Request, sha256: Sha256, query: NoQuery) -> Response:
    """A file that executions hold is deleted with the last of them."""
    await runtime_of(request).files.delete(sha256)
    return Response(status_code=204)
