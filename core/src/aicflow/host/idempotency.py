"""`Idempotency-Key`: the same creating request sent again finds what the first one made, and makes nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from aicflow.engine import Started
from aicflow.host.gate import caller_of
from aicflow.host.problems import Problem, request_invalid
from aicflow.host.routes.common import runtime_of
from aicflow.kernel.errors import AICFlowError, KeyUsed, NotFound
from aicflow.kernel.ports.executions import Idempotency

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")
IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request finds what the first one made",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


async def once(
    request: Request,
    call: str,
    asked: Any,
    act: Callable[[Idempotency | None], Awaitable[Response]],
    again: Callable[[str], Awaitable[Response]],
    *,
    hidden: bool = False,
) -> Response:
    """The answer of `act`, or that of `again` with the id of what was made when the request's key was used before.

    Keys of different API keys and of different calls never meet. `asked` is what the request says (its body as a
    model), however it is written. `hidden`: the key itself is not stored. Raises Problem; whatever `act` raises when
    the key is fresh."""
    header = request.headers.get("idempotency-key")
    if header is None:
        return await act(None)
    if _KEY.match(header) is None:
        raise request_invalid(
            "invalid", "it must be 1 to 255 visible ASCII characters", name="idempotency-key", where="header"
        )
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_sent)
    key = Idempotency(f"{call}:{caller_of(request.scope).key_id}", header, _digest(canonical))
    if hidden:
        key = replace(key, key=_digest(header))
    try:
        return await act(key)
    except KeyUsed as error:
        used = error
    except (AICFlowError, Problem):
        # what was accepted then might be refused today
        found = await runtime_of(request).store.idempotency.find(key.scope, key.key)
        if found is None:
            raise
        used = found
    if used.fingerprint != key.fingerprint:
        raise Problem(
            "idempotency-mismatch",
            f"The idempotency key {header!r} was used before for another request.",
            hint="Use a fresh key for a new request.",
        )
    try:
        response = await again(used.result)
    except NotFound as error:
        raise Problem(
            "gone",
            f"The idempotency key {header!r} was used before, and what it made is gone: {error.message}",
            hint="Nothing was done now. Use a fresh key for a new request.",
        ) from None
    response.headers["idempotent-replayed"] = "true"
    return response


def fresh(started: Started) -> Started:
    """An execution that was just started. Raises KeyUsed when it was started by an earlier request."""
    if started.duplicate:
        raise KeyUsed("", started.fingerprint or "", started.execution_id)
    return started


def _as_sent(body: BaseModel) -> Any:
    return body.model_dump(mode="json", exclude_unset=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
