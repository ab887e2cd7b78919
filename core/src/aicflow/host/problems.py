"""Errors as the API tells them: RFC 9457 problem documents with stable codes.

Bad input is a 4xx that says what and where; a 500 is always a defect of ours and says nothing of its insides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from aicflow.engine.masking import Mask
from aicflow.kernel.errors import (
    AICFlowError,
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
from aicflow.kernel.values import dumps, pointer

__all__ = ["MEDIA_TYPE", "Problem", "handlers", "problem_of", "problem_response", "request_invalid"]

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:aicflow:problem:"

TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "body-malformed": (400, "The body cannot be read"),
    "request-malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "An API key is needed"),
    "forbidden": (403, "The API key may not do this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The method is not available here"),
    "request-timeout": (408, "The request did not arrive in time"),
    "gone": (410, "What the idempotency key made is gone"),
    "conflict": (409, "It is in another state"),
    "workflow-disabled": (409, "The workflow is switched off"),
    "not-waiting": (409, "Nothing waits for an answer"),
    "revision-mismatch": (412, "It has changed since it was read"),
    "body-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body's type is not supported"),
    "request-invalid": (422, "The request is not valid"),
    "workflow-invalid": (422, "The workflow has errors"),
    "input-invalid": (422, "The input does not fit the workflow"),
    "idempotency-mismatch": (422, "The idempotency key was used for another request"),
    "precondition-required": (428, "The request must say which revision it changes"),
    "rate-limited": (429, "Too many requests"),
    "headers-too-large": (431, "The request's headers are too large"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "The service cannot answer now"),
    "record-damaged": (503, "What is stored cannot be read"),
}


class Problem(Exception):
    """A problem to answer with. `errors` are `{code, pointer, message, …}`."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        known, self.title = TITLES[code]
        self.status = status or known
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self, request_id: str, mask: Mask | None = None) -> bytes:
        """The problem document; `mask` hides secrets in its sentences."""
        out: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "errors": self.errors,
        }
        if self.hint:
            out["hint"] = self.hint
        if mask is not None:
            out = {**mask.report(out), "errors": [mask.report(error) for error in self.errors]}
        return dumps(out)


def problem_response(problem: Problem, request_id: str, mask: Mask | None = None) -> Response:
    """The answer that tells the problem."""
    return Response(problem.body(request_id, mask), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def request_invalid(code: str, message: str, *, name: str, where: str, hint: str | None = None) -> Problem:
    """One wrong thing about the request: `where` is body, query, path or header."""
    error = {"code": f"request.{code}", "pointer": pointer(name) if name else "", "in": where, "message": message}
    if hint:
        error["hint"] = hint
    return Problem("request-invalid", message, errors=[error], hint=hint)


def of_validation(errors: Iterable[Mapping[str, Any]], where: str | None = None) -> Problem:
    """pydantic's complaints; `where` is taken from the first word of each place when not given (FastAPI's habit)."""
    out = []
    for error in errors:
        place = tuple(error["loc"])
        source = where
        if source is None and place and place[0] in ("body", "query", "path", "header"):
            source, place = str(place[0]), place[1:]
        kind = str(error["type"])
        code = {"missing": "missing", "extra_forbidden": "unknown"}.get(kind, "type" if "type" in kind else "invalid")
        message = {"missing": "is required", "extra_forbidden": "is not known here"}.get(kind, str(error["msg"]))
        message = message.removeprefix("Value error, ")
        out.append({"code": f"request.{code}", "pointer": pointer(*place), "in": source or "body", "message": message})
    first = out[0]
    name = str(first["pointer"]) or "/"
    more = f" (and {len(out) - 1} more)" if len(out) > 1 else ""
    return Problem("request-invalid", f"{first['in']} {name}: {first['message']}{more}", errors=out)


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
        code = {
            "revision": "revision-mismatch",
            "disabled": "workflow-disabled",
            "not-waiting": "not-waiting",
        }.get(error.code, "conflict")
        return Problem(code, error.message, hint=error.hint)
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
    if isinstance(error, RequestValidationError | ValidationError):
        return of_validation(error.errors())
    if isinstance(error, HTTPException):
        return _of_http(error)
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


def _of_http(error: HTTPException) -> Problem:
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        return Problem("method-not-allowed", f"The methods available here: {allow or 'none'}.", headers=error.headers)
    if error.status_code == 404:
        return Problem("not-found", "There is nothing at this path.")
    code = next((code for code, (status, _) in TITLES.items() if status == error.status_code), None)
    return Problem(code or "internal", str(error.detail), headers=error.headers)


def handlers() -> dict[Any, Any]:
    """FastAPI's exception handlers for every error raised on purpose."""
    kinds = (Problem, AICFlowError, RequestValidationError, HTTPException)
    return dict.fromkeys(kinds, _handle)


def _allowed(request: Request, told: str) -> str:
    """The methods of everything at this path. Starlette tells those of the first route only."""
    path, documented = request.scope["path"], request.app.openapi()["paths"]
    for template in sorted(documented, key=lambda one: "{" in one):
        if compile_path(template)[0].match(path):
            return ", ".join(sorted(method.upper() for method in documented[template]))
    return told


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": _allowed(request, (error.headers or {}).get("Allow", ""))}
    problem = problem_of(error)
    if problem is None:
        raise error  # the gate answers and logs what nobody expected
    runtime = getattr(request.app.state, "runtime", None)
    mask = runtime.secrets.mask if runtime is not None else None
    return problem_response(problem, request.scope.get("aicflow.request_id", ""), mask)
