"""A call of a webhook: who sends it, what it carries, and the payload that the workflow is given."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aicflow import Conflict, TriggerRuntime
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request

from aicflow_trigger.bodies import BodyLimits, DecodedBody, decode_body, may_give_files
from aicflow_trigger.errors import BodyRejected, SignatureRejected, SignatureSettingsError
from aicflow_trigger.signatures import Verified, verify, verify_api_key, verify_basic
from aicflow_trigger.webhook_params import ApiKeyAuth, BasicAuth, HmacAuth, NoAuth, WebhookParams

MAX_QUERY: Final = 16_384

_log = logging.getLogger("aicflow.triggers.webhook")
_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let in. `key` is what makes it the same delivery as another; None when nothing does."""

    payload: dict[str, Any]
    key: str | None


async def receive(
    params: WebhookParams,
    path: str,
    path_params: Mapping[str, str],
    request: Request,
    runtime: TriggerRuntime,
    most: int,
) -> Call:
    """Read and check a call, and keep its large uploads as files. Nothing is read of who does not show the right key.
    Errors: SignatureRejected (401), BodyRejected (another 4xx; 413 for more than `most` bytes); ClientDisconnect when
    the sender went away."""
    now = runtime.clock.now()
    if len(request.scope.get("query_string", b"")) > MAX_QUERY:
        raise BodyRejected(414, f"the query is longer than {MAX_QUERY} bytes")
    _check_caller(params, request.headers)
    raw = await _read(request, most)
    verified = _check_signature(params, request.headers, raw, now)
    delivery_id = verified.delivery_id if verified else None
    if params.delivery_header is not None:
        delivery_id = _given_id(params.delivery_header, request.headers) or delivery_id
    key = delivery_id
    if verified and (verified.timestamp is not None or (key is not None and not _repeats(params))):
        key = verified.key  # an id that is not signed could be another one each time
    limits = BodyLimits(max_bytes=most, files_above=params.files_above)
    decoded = decode_body(
        request.headers.get("content-type"),
        raw,
        limits,
        content_encoding=request.headers.get("content-encoding"),
        accept=params.accept,
    )
    payload = {
        "method": request.method,
        "path": path.strip("/"),
        "path_params": dict(path_params),
        "query": _query(request.query_params),
        "headers": _headers(params, request.headers),
        **await _body(decoded, may_give_files(params.files_above, params.max_body_bytes), runtime),
        "delivery_id": delivery_id,
        "authenticated_by": _proof(params),
        "received_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return Call(payload, key)


def _check_caller(params: WebhookParams, headers: Headers) -> None:
    """What can be checked before the body is read."""
    auth = params.auth
    if isinstance(auth, BasicAuth):
        try:
            verify_basic(auth.username, auth.passwords, headers)
        except SignatureRejected as error:
            raise SignatureRejected(error.reason, challenge='Basic realm="webhook", charset="UTF-8"') from None
    elif isinstance(auth, ApiKeyAuth):
        verify_api_key(auth.header, auth.keys, headers, auth.prefix)


def _check_signature(params: WebhookParams, headers: Headers, body: bytes, now: float) -> Verified | None:
    auth = params.auth
    if not isinstance(auth, HmacAuth):
        return None
    try:
        return verify(auth.preset, auth.secrets, headers, body, now, window=auth.window, plain=auth.plain)
    except SignatureSettingsError as error:
        _log.error("A webhook cannot check signatures: %s", error)
        raise SignatureRejected("this webhook's signature settings are invalid; its operator must fix them") from None


def _proof(params: WebhookParams) -> str | None:
    auth = params.auth
    if isinstance(auth, HmacAuth):
        return auth.preset
    return None if isinstance(auth, NoAuth) else auth.type


def _repeats(params: WebhookParams) -> bool:
    return isinstance(params.auth, HmacAuth) and params.auth.repeats


async def _read(request: Request, limit: int) -> bytes:
    too_large = BodyRejected(413, f"the body is larger than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > limit):
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _given_id(name: str, headers: Headers) -> str | None:
    values = {value.strip(" \t") for value in headers.getlist(name)}
    if len(values) > 1:
        raise BodyRejected(400, f"the header {name} was sent twice with different values")
    given = values.pop() if values else ""
    if given and not _ID.fullmatch(given):
        raise BodyRejected(400, f"the header {name} is not an id of up to 256 visible ASCII characters")
    return given or None


def _headers(params: WebhookParams, headers: Headers) -> dict[str, str]:
    auth = params.auth
    hidden = _CREDENTIALS | ({auth.header.lower()} if isinstance(auth, ApiKeyAuth) else frozenset())
    return {name: ", ".join(headers.getlist(name)) for name in headers if name.lower() not in hidden}


def _query(query: QueryParams) -> dict[str, str | list[str]]:
    out: dict[str, str | list[str]] = {}
    for name in query:
        values = query.getlist(name)
        out[name] = values[0] if len(values) == 1 else values
    return out


async def _body(decoded: DecodedBody, with_file: bool, runtime: TriggerRuntime) -> dict[str, Any]:
    body, files = decoded.value, decoded.files_as_json()
    if with_file:  # else the payload is as if there were no files at all
        uploads: list[dict[str, Any]] = [*files, *([body] if decoded.kind == "bytes" else [])]
        for upload in uploads:
            upload["file"] = None
    for place, content in decoded.large.items():
        upload = body if place is None else files[place]
        name, kind = upload.get("filename") or None, upload["content_type"]
        try:
            upload["file"] = (await runtime.keep_file(bytes(content), name=name, type=kind)).model_dump()
        except Conflict as error:
            status = 413 if error.code == "file-too-large" else 507
            raise BodyRejected(status, error.message) from None
    return {"body": body, "content_type": decoded.content_type, "files": files}
