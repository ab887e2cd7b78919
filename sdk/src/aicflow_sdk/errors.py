"""Every error that this package raises. Those of one execution stand beside it, in `execution.py`.

AICFlowError
├── ConfigurationError            no address, no key, or an invalid address
├── BuildError                    a workflow that cannot be written as a document
├── ConnectionFailed              the server was not reached, or the connection broke
│   └── RequestTimeout            the server did not reply in time
├── UnexpectedReply               the reply is not one of this API
├── ExecutionUnsuccessful         the execution has no result (yet)
│   ├── ExecutionFailed
│   └── ExecutionCancelled
├── WaitTimeout                   the execution goes on, the waiting has ended
└── APIError                      the server refused the request; by status
    ├── BadRequest                400
    ├── Unauthorized              401
    ├── Forbidden                 403
    ├── NotFound                  404
    ├── Conflict                  409
    ├── RevisionMismatch          412
    ├── TooLarge                  413
    ├── Invalid                   422
    │   ├── WorkflowInvalid       the document has errors
    │   └── InputInvalid          the input does not fit the workflow's input_schema
    ├── RateLimited               429
    └── ServerError               5xx
        └── Unavailable           503
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 5


class AICFlowError(Exception):
    """The base of all errors of this package. `message` says what happened, `hint` what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.message = message
        self.hint = hint


class ConfigurationError(AICFlowError):
    """There is no address, no key, or the address is invalid."""


class BuildError(AICFlowError):
    """A workflow that cannot be written as a document."""


class ConnectionFailed(AICFlowError):
    """The server was not reached, or the connection broke before its reply was complete. `sent`: whether the server may
    have received the request."""

    def __init__(self, message: str, *, hint: str | None = None, sent: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


class RequestTimeout(ConnectionFailed):
    """The server did not reply in time."""


class UnexpectedReply(AICFlowError):
    """The reply is not one of this API, or not of this version of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDetail:
    """One thing that is wrong. `pointer` is a JSON pointer into what was sent (`where`: body, query, path, header);
    `span` is (start, end) in the string there; `line` and `column` place it in an unreadable body."""

    code: str
    pointer: str
    message: str
    column: int | None = None
    hint: str | None = None
    line: int | None = None
    severity: str | None = None
    span: tuple[int, ...] | None = None
    where: str | None = None

    def __str__(self) -> str:
        place = self.pointer or (f"line {self.line}, column {self.column}" if self.line is not None else "")
        return f"{place}: {self.message}" if place else self.message


class APIError(AICFlowError):
    """The server refused the request.

    `status` is the HTTP status, `code` the stable name of the problem (`not-found`), `request_id` what to look for in
    the server's log, `errors` every single thing that is wrong with its place, `retry_after` the seconds that the
    server asks to wait.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str = "",
        request_id: str | None = None,
        errors: Sequence[ProblemDetail] = (),
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        lines = [f"{detail or title or 'The server refused the request.'} [{status} {code}]"]
        shown = detail + (hint or "")
        listed = [error for error in errors if error.severity != "warning" and error.message not in shown]
        for error in listed[:_SHOWN]:
            lines.append(f"  {error}")
            if error.hint and error.hint != hint:
                lines.append(f"    {error.hint}")
        if len(listed) > _SHOWN:
            lines.append(f"  and {len(listed) - _SHOWN} more, see .errors")
        if hint:
            lines.append(hint)
        if request_id:
            lines.append(f"Request id: {request_id}")
        super().__init__("\n".join(lines))
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.request_id = request_id
        self.errors = tuple(errors)
        self.hint = hint
        self.retry_after = retry_after


class BadRequest(APIError):
    """The request cannot be read."""


class Unauthorized(APIError):
    """Missing or invalid API key."""


class Forbidden(APIError):
    """The API key lacks the scope for this call."""


class NotFound(APIError):
    """Not found."""


class Conflict(APIError):
    """Conflict with the current state."""


class RevisionMismatch(APIError):
    """It was changed since it was read: read it again, apply the change, save again."""


class TooLarge(APIError):
    """The body exceeds the server's limit."""


class Invalid(APIError):
    """The content of the request is not valid; `errors` says where."""


class WorkflowInvalid(Invalid):
    """The workflow document has errors; `errors` are the findings, with pointers into the document."""


class InputInvalid(Invalid):
    """The input does not fit the workflow's input_schema; `errors` have pointers into the input."""


class RateLimited(APIError):
    """Too many requests."""


class ServerError(APIError):
    """The server failed: a defect on its side."""


class Unavailable(ServerError):
    """The server is unavailable for the moment."""
