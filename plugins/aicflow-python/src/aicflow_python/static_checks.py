"""Problems of a Python node's params as written, found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from aicflow import AICFlowError, Issue, cut

from aicflow_python.sandbox import DEFAULT, RESTRICTED_MODULES, Environment, Problem, check
from aicflow_python.settings import PythonSettings

type Severity = Literal["error", "warning"]


def check_params(params: Mapping[str, Any]) -> Sequence[Issue]:
    """All problems, in document order of the params."""
    try:
        settings = PythonSettings.from_environment()
    except AICFlowError:
        return ()  # the operator's mistake; starting says so
    return [*code_issues(params, settings), *limit_issues(params, settings)]


def code_issues(params: Mapping[str, Any], settings: PythonSettings) -> Iterator[Issue]:
    """Mistakes in the code, with the place in characters."""
    environment = params.get("environment", "default")
    known = {"default": DEFAULT, **settings.environments}
    if isinstance(environment, str) and "${{" not in environment and environment not in known:
        yield Issue(
            "param.invalid",
            "error",
            "/environment",
            f"There is no Python environment {environment!r}.",
            f"There are: {', '.join(sorted(known))}. Operators add them with AICFLOW_PYTHON_ENVIRONMENTS.",
        )
    code = params.get("code")
    if not isinstance(code, str):
        return
    given = params.get("inputs", {})
    inputs = tuple(sorted(given)) if isinstance(given, Mapping) else None
    for found in check(code, importable(environment, known, settings), inputs):
        message = f"{found.message} (line {found.line})" if found.line else found.message
        severity: Severity = "warning" if found.warning else "error"
        yield Issue("param.invalid", severity, "/code", message, excerpt_hint(code, found), span(code, found))


def importable(environment: Any, known: Mapping[str, Environment], settings: PythonSettings) -> tuple[str, ...] | None:
    """Modules that the code may import where it will run; None for all."""
    if settings.backends == ("trusted",):
        return None
    if settings.backends[0] == "restricted":
        return RESTRICTED_MODULES
    return known.get(environment, DEFAULT).allowed if isinstance(environment, str) else DEFAULT.allowed


def limit_issues(params: Mapping[str, Any], settings: PythonSettings) -> Iterator[Issue]:
    """Limits above what the operator allows."""
    for name in ("timeout", "cpu_seconds", "memory_mb"):
        value = params.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            message = over_ceiling(name, value, settings)
            if message:
                yield Issue(
                    "param.invalid", "error", f"/{name}", message, "Ask for less, or ask the operator for more."
                )


def over_ceiling(name: str, value: float, settings: PythonSettings) -> str | None:
    """Why a limit may not be that high, or None."""
    ceiling = getattr(settings.ceiling, name)
    return f"{name} is {value:g}; the operator's ceiling is {ceiling:g}." if value > ceiling else None


def excerpt_hint(code: str, found: Problem) -> str | None:
    """The line in question."""
    lines = code.splitlines()
    return cut(lines[found.line - 1].strip(), 200) if found.line and found.line <= len(lines) else None


def span(code: str, found: Problem) -> tuple[int, int] | None:
    """From the column to the end of its line, in characters of the code."""
    lines = code.splitlines(keepends=True)
    if not found.line or found.line > len(lines):
        return None
    start = sum(map(len, lines[: found.line - 1]))
    line = lines[found.line - 1].rstrip("\r\n")
    return start + min((found.column or 1) - 1, len(line)), start + len(line)
