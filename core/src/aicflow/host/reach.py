"""What a caller may see and do, decided here for every route: its scope, and the workflows its key is limited to.

A route says who may call it with `need`. For a key that is limited to workflows, each workflow, execution and trigger
in the path is looked at before the route begins, and what is not the key's is answered as what is not there. A route
without one of these in its path has to say what it does about such keys, or they are refused: `filtered` (it passes
`reach_of(request)` on to what it lists or starts) or `open` (nothing in it belongs to a workflow).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from starlette.requests import HTTPConnection

from aicflow.host.audit_names import NOT_YOURS
from aicflow.host.gate import caller_of, require
from aicflow.host.keys import Caller, Scope
from aicflow.host.problems import Problem
from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import ExecutionFilter, WorkflowLimit
from aicflow.kernel.ports.store import Store
from aicflow.store.checks import is_within

if TYPE_CHECKING:
    from aicflow.host.runtime import HostRuntime

type Limited = Literal["filtered", "open"]
IN_PATH: Final = ("workflow_id", "execution_id", "binding_id")


class Reach:
    """What one caller reaches. Every key but a limited one reaches everything, at no cost."""

    def __init__(self, caller: Caller, store: Store, scope: MutableMapping[str, Any] | None = None) -> None:
        self._scope = scope
        self.within: WorkflowLimit | None = caller.within
        self._name = caller.name
        self._store = store

    async def workflow(self, workflow_id: str) -> None:
        """Raises NotFound for a workflow out of reach, as for one that is not there."""
        if not await self.admits(workflow_id):
            raise self._missing("workflow", workflow_id)

    async def execution(self, execution_id: str) -> None:
        """Raises NotFound."""
        if self.within is not None and not await self._store.workflows.is_within(
            self.within, execution_id=execution_id
        ):
            raise self._missing("execution", execution_id)

    async def trigger(self, binding_id: str) -> None:
        """Raises NotFound."""
        if not await self.admits(binding_id.rpartition(":")[0]):
            raise self._missing("trigger", binding_id)

    def _missing(self, what: str, name: str) -> NotFound:
        if self._scope is not None:
            self._scope[NOT_YOURS] = True  # the caller is told what an absent one is told; the audit tells more
        return NotFound(what, name)

    async def admits(self, workflow_id: str) -> bool:
        """Whether the workflow is within reach."""
        return self.within is None or await self._store.workflows.is_within(self.within, workflow_id=workflow_id)

    def has(self, workflow_id: str, labels: Mapping[str, str]) -> bool:
        """Whether a workflow with these labels is within reach."""
        return is_within(workflow_id, labels, self.within)

    def filter(self, where: ExecutionFilter) -> ExecutionFilter:
        """The filter, for executions within reach."""
        return replace(where, within=self.within)

    def check_new(self, document: Any, workflow_id: str | None) -> None:
        """Raises Problem for a new workflow that the caller would not reach, or that would gain labels it cannot give:
        they say what keys and secrets a workflow is for."""
        if self.within is None:
            return
        if workflow_id not in self.within.ids and (workflow_id is not None or not self.within.labels):
            ids = ", ".join(sorted(self.within.ids)) or "none"
            raise Problem(
                "forbidden",
                f"The API key {self._name!r} is limited to workflows; it may create these ids: {ids}.",
                hint="Leave `id` out." if self.within.labels else "Name one with `?id=`.",
            )
        self._check_labels(document, dict(self.within.labels))

    def check_change(self, document: Any, labels: Mapping[str, str]) -> None:
        """Raises Problem for a new version with other labels than the workflow has."""
        if self.within is not None:
            self._check_labels(document, labels)

    def _check_labels(self, document: Any, labels: Mapping[str, str | None]) -> None:
        given = document.get("labels") if isinstance(document, dict) else None
        if (given or {}) != labels:
            wanted = ", ".join(f"{name}={value}" for name, value in labels.items()) or "none"
            raise Problem(
                "forbidden",
                f"The API key {self._name!r} is limited to workflows and cannot choose labels. "
                f"The document must have these: {wanted}.",
                errors=[{"code": "request.invalid", "pointer": "/labels", "in": "body", "message": "other labels"}],
            )


def reach_of(connection: HTTPConnection) -> Reach:
    """What the caller of this request reaches."""
    runtime: HostRuntime = connection.app.state.runtime
    return Reach(caller_of(connection.scope), runtime.store, connection.scope)


def need(wanted: Scope, limited: Limited | None = None) -> Callable[[HTTPConnection], Awaitable[None]]:
    """A FastAPI dependency that asks for a scope and keeps limited keys within their limit."""

    async def check(connection: HTTPConnection) -> None:
        if require(connection.scope, wanted).within is not None:
            await _keep_within(connection, limited)

    check.aicflow_scope = wanted  # type: ignore[attr-defined]
    check.aicflow_limited = limited  # type: ignore[attr-defined]
    return check


async def _keep_within(connection: HTTPConnection, limited: Limited | None) -> None:
    reach, path = reach_of(connection), connection.path_params
    if limited is None and not any(name in path for name in IN_PATH):
        refuse_limited(caller_of(connection.scope))
    if "workflow_id" in path:
        await reach.workflow(path["workflow_id"])
    if "execution_id" in path:
        await reach.execution(path["execution_id"])
    if "binding_id" in path:
        await reach.trigger(path["binding_id"])


def refuse_limited(caller: Caller) -> None:
    """Raises Problem when the key is limited to workflows."""
    if caller.within is not None:
        raise Problem(
            "forbidden",
            f"The API key {caller.name!r} is limited to workflows; this call concerns more than those.",
            hint="Use a key without a limit.",
        )
