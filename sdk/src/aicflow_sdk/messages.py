"""What is sent and what comes back: requests, replies, and the errors that replies stand for. Pure: no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from aicflow_sdk import errors, jsonable
from aicflow_sdk.errors import APIError, ProblemDetail, UnexpectedReply

_PREFIX: Final = "urn:aicflow:problem:"
_BY_CODE: Final[Mapping[str, type[APIError]]] = {
    "workflow-invalid": errors.WorkflowInvalid,
    "input-invalid": errors.InputInvalid,
}
_BY_STATUS: Final[Mapping[int, type[APIError]]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.RevisionMismatch,
    413: errors.TooLarge,
    422: errors.Invalid,
    429: errors.RateLimited,
    503: errors.Unavailable,
}
_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)

type QueryValue = str | int | bool | datetime | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Pieces:
    """A body that is sent piece by piece. `open` returns the pieces, from the first one each time it is called."""

    open: Callable[[], Iterable[bytes] | AsyncIterable[bytes]]
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `repeatable`: receiving it twice has the effect of receiving it once, so that it may be sent again
    when it is unknown whether the first one arrived. `extra_time`: seconds that the server may take on purpose.
    `gone_is_done`: 404 for a repeated request means that the first one succeeded. `accept`: a status
    besides 2xx that is a success."""

    method: str
    path: str
    body: bytes | Pieces | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    extra_time: float = 0.0
    gone_is_done: bool = False
    accept: int | None = None


def path(*segments: str, query: Mapping[str, QueryValue] | None = None, api: bool = True) -> str:
    """A path under the API's prefix; each segment is data and cannot become another path. `query` without the names
    that have no value. Raises ValueError."""
    for segment in segments:
        if not isinstance(segment, str) or segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} is not an id")
    joined = ("/api/v1" if api else "") + "".join("/" + quote(segment, safe=":") for segment in segments)
    joined = joined or "/"  # behind a proxy, `…/flows` may be nothing and `…/flows/` the server
    pairs = [(name, _text(name, value)) for name, value in (query or {}).items() if value is not None]
    return f"{joined}?{urlencode(pairs)}" if pairs else joined


def _text(name: str, value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return instant(name, value)
    return ",".join(value) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def instant(name: str, value: datetime) -> str:
    """An aware datetime as the API reads it. Raises ValueError for one without a time zone."""
    try:
        return jsonable.instant(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def without_none(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def encode_json(value: Any) -> bytes:
    """The value as JSON; datetimes, UUIDs, enums and dataclasses too. Raises TypeError or ValueError that names the
    place of what JSON cannot express."""
    try:
        plain = jsonable.plain_json(value)
    except RecursionError:
        raise ValueError("The value contains itself, or is nested too deep.") from None
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def keyed(idempotency_key: str | None) -> dict[str, str]:
    """The header that lets a creating request be sent again, with a random key by default."""
    return {"idempotency-key": str(uuid4()) if idempotency_key is None else idempotency_key}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it came. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The JSON value. Raises UnexpectedReply for anything else."""
        kind = self.media_type
        if not (kind == "application/json" or kind.endswith("+json")):
            raise UnexpectedReply(
                f"The server replied {self.status} with {kind or 'no content type'} instead of JSON{self.excerpt()}.",
                hint="Is the address that of an AIC Flow server, or of a proxy or sign-in page in front of it?",
            )
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise UnexpectedReply(
                f"The server replied {self.status} with invalid JSON: {error}{self.excerpt()}.",
                hint="The reply was cut or changed on its way.",
            ) from None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def retry_after(self, now: datetime | None = None) -> float | None:
        """The seconds that the server asks to wait, from seconds or a date."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
            return float(text)
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())

    def excerpt(self) -> str:
        """The first words of the body, in parentheses."""
        text = " ".join(_TAGS.sub(" ", self.body[:2000].decode("utf-8", "replace")).split())
        text = "".join(character for character in text if character.isprintable())
        return f" ({text[:200]!r})" if text else ""


def error_of(reply: Reply) -> APIError | UnexpectedReply:
    """The error of a reply whose status is not one of success."""
    status = reply.status
    if status < 400:
        where = reply.headers.get("location")
        return UnexpectedReply(
            f"The server replied {status}{f' and redirects to {where}' if where else ''}.",
            hint="Use the final address; redirects are not followed with an API key in hand.",
        )
    problem = _problem(reply)
    code = str(problem.get("type", "")).removeprefix(_PREFIX) or f"http-{status}"
    fallback = errors.ServerError if status >= 500 else APIError
    hint = problem.get("hint")
    return (_BY_CODE.get(code) or _BY_STATUS.get(status, fallback))(
        status,
        code,
        str(problem.get("detail") or ""),
        title=str(problem.get("title") or ""),
        request_id=str(problem.get("request_id") or "") or reply.headers.get("x-request-id"),
        errors=_details(problem.get("errors")),
        hint=hint if isinstance(hint, str) else None,
        retry_after=reply.retry_after(),
    )


def _problem(reply: Reply) -> Mapping[str, Any]:
    """The problem document; for a reply of a proxy or another server, one made from its text."""
    try:
        problem = json.loads(reply.body) if reply.media_type.endswith("json") else None
    except ValueError:
        problem = None
    if isinstance(problem, dict) and str(problem.get("type", "")).startswith(_PREFIX):
        return problem
    return {"detail": f"A server that is not AIC Flow's API replied with status {reply.status}{reply.excerpt()}."}


def _details(value: Any) -> tuple[ProblemDetail, ...]:
    out = []
    for entry in value if isinstance(value, list) else ():
        if not isinstance(entry, dict):
            continue
        known = without_none(**{field.name: entry.get(field.name) for field in fields(ProblemDetail)})
        known |= {
            "code": str(entry.get("code", "")),
            "message": str(entry.get("message", "")),
            "pointer": str(entry.get("pointer") or ""),
            "where": entry.get("in"),
        }
        span = known.pop("span", None)
        if isinstance(span, list) and len(span) == 2:
            known["span"] = tuple(span)
        out.append(ProblemDetail(**known))
    return tuple(out)
