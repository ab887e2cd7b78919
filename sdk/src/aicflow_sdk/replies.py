"""What came back: its JSON, or the error that it tells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aicflow_sdk import errors
from aicflow_sdk.errors import APIError, ProblemDetail, UnexpectedReply

__all__ = ["Reply", "error_of"]

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
                f"The server answered {self.status} with {kind or 'no content type'} instead of JSON{self._excerpt()}.",
                hint="Is the address that of an AIC Flow server, or of a proxy or sign-in page in front of it?",
            )
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise UnexpectedReply(
                f"The server answered {self.status} with JSON that cannot be read: {error}{self._excerpt()}.",
                hint="The reply was cut or changed on its way.",
            ) from None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def request_id(self) -> str | None:
        """What to look for in the server's log."""
        return self.headers.get("x-request-id")

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

    def _excerpt(self) -> str:
        text = " ".join(_TAGS.sub(" ", self.body[:2000].decode("utf-8", "replace")).split())
        text = "".join(character for character in text if character.isprintable())
        return f" ({text[:200]!r})" if text else ""


def error_of(reply: Reply) -> errors.AICFlowError:
    """The error that a reply tells whose status is not one of success."""
    status = reply.status
    if status < 400:
        where = reply.headers.get("location")
        return UnexpectedReply(
            f"The server answered {status}{f' and points to {where}' if where else ''}.",
            hint="Give the address that answers itself; redirects are not followed with an API key in hand.",
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
        request_id=str(problem.get("request_id") or "") or reply.request_id,
        errors=_details(problem.get("errors")),
        hint=hint if isinstance(hint, str) else None,
        retry_after=reply.retry_after(),
    )


def _problem(reply: Reply) -> Mapping[str, Any]:
    """The problem document; a made-up one for what a proxy or another server says."""
    try:
        problem = json.loads(reply.body) if reply.media_type.endswith("json") else None
    except ValueError:
        problem = None
    if isinstance(problem, dict) and str(problem.get("type", "")).startswith(_PREFIX):
        return problem
    return {"detail": f"Something that is not AIC Flow's API answered with status {reply.status}{reply._excerpt()}."}


def _details(value: Any) -> tuple[ProblemDetail, ...]:
    out = []
    for entry in value if isinstance(value, list) else ():
        if not isinstance(entry, dict):
            continue
        known = {field.name: entry[field.name] for field in fields(ProblemDetail) if entry.get(field.name) is not None}
        known["code"], known["message"] = str(entry.get("code", "")), str(entry.get("message", ""))
        known["where"] = entry.get("in")
        span = known.pop("span", None)
        if isinstance(span, list) and len(span) == 2:
            known["span"] = tuple(span)
        out.append(ProblemDetail(**known))
    return tuple(out)
