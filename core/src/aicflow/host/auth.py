"""What a caller may do: scopes, asked for by routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import HTTPConnection

from aicflow.host.gate import CALLER
from aicflow.host.keys import Caller, Scope
from aicflow.host.problems import Problem

__all__ = ["caller_of", "need", "require"]


def require(scope: MutableMapping[str, Any], wanted: str) -> Caller:
    """The caller of this request, when its key has the scope. Raises Problem `forbidden` or `unauthorized`."""
    caller: Caller | None = scope.get(CALLER)
    if caller is None:
        raise Problem("unauthorized", "The request has no API key.", headers={"www-authenticate": "Bearer"})
    if not caller.may(wanted):
        have = ", ".join(sorted(caller.scopes)) or "none"
        raise Problem("forbidden", f"This needs the scope {wanted!r}; the API key {caller.name!r} has: {have}.")
    return caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """The caller of a request that passed `require`."""
    caller = scope[CALLER]
    assert isinstance(caller, Caller)
    return caller


def need(wanted: Scope) -> Callable[[HTTPConnection], Awaitable[None]]:
    """A FastAPI dependency that asks for a scope."""

    async def check(connection: HTTPConnection) -> None:
        require(connection.scope, wanted)

    check.aicflow_scope = wanted  # type: ignore[attr-defined]
    return check
