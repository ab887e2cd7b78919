"""Problem documents (RFC 9457): one table of codes and titles, one writer, for the API and for apps that plugins mount.

Bad input is a 4xx that says what and where; a 500 is always a defect of ours and says nothing of its insides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aicflow.kernel.errors import (
    Conflict,
    DocumentUnreadable,
    EventsDamaged,
    InputInvalid,
    NodeError,
    NotFound,
    RecordDamaged,
    StoreUnavailable,
    WorkflowInvalid,
)
from aicflow.kernel.values import dumps

if TYPE_CHECKING:
    from starlette.responses import Response

type Hide = Callable[[Mapping[str, Any]], dict[str, Any]]

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "aicflow.request_id"
"""Where the request's id is in an ASGI scope."""
HIDE: Final = "aicflow.hide"
"""Where an ASGI scope has what removes secrets from what people read."""

TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "body-malformed": (400, "The body cannot be read"),
    "request-malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "Missing or invalid API key"),
    "forbidden": (403, "The API key lacks the scope"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "request-timeout": (408, "The request did not arrive in time"),
    "gone": (410, "The result of the idempotency key no longer exists"),
    "removed": (410, "Retention has removed this part of the execution"),
    "conflict": (409, "Conflict with the current state"),
    "workflow-disabled": (409, "The workflow is disabled"),
    "file-in-use": (409, "Executions hold the file"),
    "not-waiting": (409, "No step is waiting for an answer"),
    "revision-mismatch": (412, "The resource has changed since it was read"),
    "body-too-large": (413, "The body is too large"),
    "file-too-large": (413, "The file is too large"),
    "unsupported-media-type": (415, "The body's type is not supported"),
    "range-not-satisfiable": (416, "The range lies outside the resource"),
    "request-invalid": (422, "The request is not valid"),
    "workflow-invalid": (422, "The workflow has errors"),
    "input-invalid": (422, "The input does not match the workflow's schema"),
    "idempotency-mismatch": (422, "The idempotency key was used for another request"),
    "precondition-required": (428, "The request must name the revision it changes"),
    "rate-limited": (429, "Too many requests"),
    "queue-full": (429, "Too many queued executions"),
    "headers-too-large": (431, "The request's headers are too large"),
    "internal": (500, "Internal server error"),
    "unavailable": (503, "Service unavailable"),
    "record-damaged": (503, "Stored data cannot be read"),
    "files-full": (507, "There is no room for the file"),
    # of webhooks
    "body-rejected": (400, "The webhook's body was rejected"),
    "signature-rejected": (401, "The webhook's signature was rejected"),
    "limit-reached": (409, "Concurrency limit reached"),
    "node-type-disabled": (409, "The node type is disabled"),
    "trigger-failed": (409, "The trigger cannot be used"),
    "execution-failed": (502, "The execution failed"),
    "no-answer": (502, "The execution returned no answer"),
    "paused": (503, "The trigger is paused"),
}


class Problem(Exception):
    """A problem to answer a request with. `errors` are `{code, pointer, message, …}`; `members` are the document's own
    members beside the standard ones."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        known, self.title = TITLES.get(code) or (500, code.replace("-", " ").capitalize())  # a plugin's own code
        self.status = status or known
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.hint = hint
        self.headers = dict(headers or {})
        self.members = members

    def body(self, request_id: str, hide: Hide | None = None) -> bytes:
        """The document as JSON; `hide` removes secrets from what people read."""
        out: dict[str, Any] = {
            "type": f"urn:aicflow:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "errors": self.errors,
            **self.members,
        }
        if self.hint:
            out["hint"] = self.hint
        if hide is not None:
            out = {**hide(out), "errors": [hide(error) for error in self.errors]}
        return dumps(out)

    def response(self, scope: Mapping[str, Any]) -> Response:
        """The response to the request of an ASGI scope, with the request's id and without the server's secrets."""
        from starlette.responses import Response

        body = self.body(scope.get(REQUEST_ID, ""), scope.get(HIDE))
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


_CONFLICTS: Final = {
    "revision": "revision-mismatch",
    "disabled": "workflow-disabled",
    "not-waiting": "not-waiting",
    **{code: code for code in ("file-in-use", "file-too-large", "files-full", "queue-full", "removed")},
}


def problem_of(error: BaseException) -> Problem | None:
    """The problem that an error raised on purpose means; None for anything unexpected."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DocumentUnreadable):
        return _unreadable(error)
    if isinstance(error, WorkflowInvalid):
        return Problem(
            "workflow-invalid", error.message, errors=[issue.to_dict() for issue in error.issues], hint=error.hint
        )
    if isinstance(error, NotFound):
        return Problem("not-found", error.message, hint=error.hint)
    if isinstance(error, Conflict):
        headers = {"retry-after": "5"} if error.code == "queue-full" else None
        return Problem(_CONFLICTS.get(error.code, "conflict"), error.message, hint=error.hint, headers=headers)
    if isinstance(error, StoreUnavailable):
        return Problem("unavailable", error.message, hint=error.hint, headers={"retry-after": "5"})
    if isinstance(error, RecordDamaged):
        return Problem("record-damaged", error.message, errors=_damaged(error), hint=error.hint)
    if isinstance(error, InputInvalid):
        errors = [
            {"code": "input.invalid", "pointer": place, "message": message} for place, message in error.violations
        ]
        return Problem("input-invalid", error.message, errors=errors, hint=error.hint)
    if isinstance(error, NodeError):  # a reference that an input does not fit
        entry = {"code": f"input.{error.code}", "pointer": error.pointer or "", "message": error.message}
        return Problem("input-invalid", error.message, errors=[entry], hint=error.hint)
    return None


def _damaged(error: RecordDamaged) -> list[dict[str, Any]]:
    if not isinstance(error, EventsDamaged):
        return []
    place = {"execution_id": error.execution_id, "first_seq": error.first_seq, "last_seq": error.last_seq}
    return [{"code": "events.damaged", "pointer": "", "message": error.message, **place}]


def _unreadable(error: DocumentUnreadable) -> Problem:
    entry: dict[str, Any] = {"code": error.code, "pointer": error.pointer, "message": error.message}
    if error.hint:
        entry["hint"] = error.hint
    where = ""
    if error.line is not None:
        entry["line"], entry["column"] = error.line, error.column
        where = f" (line {error.line}, column {error.column})"
    code = "body-too-large" if error.code == "doc.too-large" else "body-malformed"
    return Problem(code, error.message + where, errors=[entry], hint=error.hint)
