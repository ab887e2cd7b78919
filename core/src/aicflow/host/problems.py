"""Errors as the API answers them: pydantic's, FastAPI's and Starlette's become problem documents like our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from aicflow.kernel.errors import AICFlowError, WorkflowInvalid
from aicflow.kernel.values import pointer
from aicflow.problems import TITLES, Problem, problem_of

__all__ = ["Problem", "handlers", "of_validation", "problem_from", "request_invalid"]


def request_invalid(code: str, message: str, *, name: str, where: str, hint: str | None = None) -> Problem:
    """One wrong thing about the request: `where` is body, query, path or header."""
    error = {"code": f"request.{code}", "pointer": pointer(name) if name else "", "in": where, "message": message}
    if hint:
        error["hint"] = hint
    return Problem("request-invalid", message, errors=[error], hint=hint)


_FORMS: Final = {
    "^[0-9a-f]{64}$": "must be a SHA-256: 64 of the characters 0-9 and a-f",
    "^[!-~]{1,200}$": "must be 1 to 200 visible ASCII characters",
    "^[A-Za-z_][A-Za-z0-9_]{0,199}$": "must be letters, digits and _, not beginning with a digit",
    "^[A-Za-z0-9_.:@-]{1,200}$": "must be 1 to 200 letters, digits and the characters _ . : @ -",
    "^[A-Za-z_][A-Za-z0-9_-]{0,63}$": "must be 1 to 64 letters, digits, _ and -, not beginning with a digit or -",
    "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$": "must be 1 to 63 letters, digits and _ . -, not beginning with those",
    "^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$": "must be 1 to 63 letters, digits and _ . / -, not beginning with those",
    "^[A-Za-z0-9][A-Za-z0-9_./-]*(=[^,=]+)?(,[A-Za-z0-9][A-Za-z0-9_./-]*(=[^,=]+)?)*$": "must be labels with commas "
    "between them, each a name or name=value",
    "^[^,=\\n\\r]{1,128}$": "must be 1 to 128 characters without commas, = and line breaks",
}
"""What the patterns of requests mean."""


def of_validation(errors: Iterable[Mapping[str, Any]], where: str | None = None) -> Problem:
    """pydantic's errors; without `where` it is the first part of each location, as FastAPI does it."""
    out = []
    for error in errors:
        location = tuple(error["loc"])
        source = where
        if source is None and location and location[0] in ("body", "query", "path", "header"):
            source, location = str(location[0]), location[1:]
        kind = str(error["type"])
        code = {"missing": "missing", "extra_forbidden": "unknown"}.get(kind, "type" if "type" in kind else "invalid")
        message = {"missing": "is required", "extra_forbidden": "is not known here"}.get(kind, str(error["msg"]))
        message = message.removeprefix("Value error, ")
        if kind == "string_pattern_mismatch":
            message = _FORMS.get(error["ctx"]["pattern"], "has a form, or characters, that are not allowed here")
        out.append(
            {"code": f"request.{code}", "pointer": pointer(*location), "in": source or "body", "message": message}
        )
    first = out[0]
    name = str(first["pointer"]) or "/"
    more = f" (and {len(out) - 1} more)" if len(out) > 1 else ""
    return Problem("request-invalid", f"{first['in']} {name}: {first['message']}{more}", errors=out)


def problem_from(error: BaseException) -> Problem | None:
    """The problem that an error raised on purpose, or by the framework, means; None for anything unexpected."""
    if isinstance(error, RequestValidationError | ValidationError):
        return of_validation(error.errors())
    return _of_http(error) if isinstance(error, HTTPException) else problem_of(error)


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


def _allowed(request: Request, first: str) -> str:
    """The methods of everything at this path; `first` are those of its first route, which is all Starlette knows."""
    path, documented = request.scope["path"], request.app.openapi()["paths"]
    for template in sorted(documented, key=lambda one: "{" in one):
        if compile_path(template)[0].match(path):
            return ", ".join(sorted(method.upper() for method in documented[template]))
    return first


def _discreet(error: Exception, request: Request) -> Exception:
    """The error as its caller may read it: a key that is limited to workflows does not learn whose trigger is in its
    way."""
    caller = request.scope.get("aicflow.caller")
    if not isinstance(error, WorkflowInvalid) or caller is None or caller.within is None:
        return error
    return WorkflowInvalid([replace(one, hint=None) if one.code == "trigger.conflict" else one for one in error.issues])


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": _allowed(request, (error.headers or {}).get("Allow", ""))}
    problem = problem_from(_discreet(error, request))
    if problem is None:
        raise error  # the gate answers and logs what was not expected
    return problem.response(request.scope)
