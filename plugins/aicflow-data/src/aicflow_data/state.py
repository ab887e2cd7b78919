"""Node types for what a workflow keeps between its executions: cursors, counters, what was seen before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aicflow import Context, Node, Output, Params
from pydantic import Field

_KEY = Field(min_length=1, max_length=200, description="Letters, digits and _ . : @ -")
_LIFETIME = Field(default=None, gt=0, le=315_360_000, description="Seconds until it is forgotten; else it stays")
_CHANGED = {
    "state-changed": "The entry has another version than the one that was asked for",
    "state-invalid": "The key or the value cannot be kept",
}


class GetParams(Params):
    """What to read."""

    key: str = _KEY
    default: Any = Field(default=None, description="The value when there is none")


class GetOutput(Output):
    """What is kept. `version` is 0 where nothing is; a `state.set` with it changes only what was read here."""

    value: Any
    version: int
    exists: bool


class StateGet(Node[GetParams, GetOutput]):
    """Read what the workflow keeps under a key."""

    type_id = "state.get"
    title = "Get state"
    category = "state"
    errors: ClassVar[Mapping[str, str]] = {"state-invalid": _CHANGED["state-invalid"]}

    async def run(self, ctx: Context, params: GetParams) -> GetOutput:
        """Read it."""
        entry = await ctx.state.get(params.key)
        if entry is None:
            return GetOutput(value=params.default, version=0, exists=False)
        return GetOutput(value=entry.value, version=entry.version, exists=True)


class SetParams(Params):
    """What to keep."""

    key: str = _KEY
    value: Any
    version: int | None = Field(default=None, ge=0, description="Only if the entry has this version; 0: only if new")
    lifetime: float | None = _LIFETIME


class SetOutput(Output):
    """The value that is kept now, and its version."""

    value: Any
    version: int


class StateSet(Node[SetParams, SetOutput]):
    """Keep a value under a key for later executions of the workflow.

    With `version`, the step fails with `state-changed` when somebody else has changed it since it was read.
    """

    type_id = "state.set"
    title = "Set state"
    category = "state"
    errors: ClassVar[Mapping[str, str]] = _CHANGED

    async def run(self, ctx: Context, params: SetParams) -> SetOutput:
        """Keep it."""
        entry = await ctx.state.put(params.key, params.value, lifetime=params.lifetime, version=params.version)
        return SetOutput(value=entry.value, version=entry.version)


class AddParams(Params):
    """A counter, and by how much to move it."""

    key: str = _KEY
    by: float | int = 1
    lifetime: float | None = _LIFETIME


class StateAdd(Node[AddParams, SetOutput]):
    """Add to a number that the workflow keeps; it is 0 at first.

    Executions that add at once lose nothing, and a step that is tried again adds once.
    """

    type_id = "state.add"
    title = "Count"
    category = "state"
    errors: ClassVar[Mapping[str, str]] = _CHANGED

    async def run(self, ctx: Context, params: AddParams) -> SetOutput:
        """Add to it."""
        entry = await ctx.state.add(params.key, params.by, lifetime=params.lifetime)
        return SetOutput(value=entry.value, version=entry.version)


class DeleteParams(Params):
    """What to forget."""

    key: str = _KEY
    version: int | None = Field(default=None, ge=0, description="Only if the entry has this version")


class DeleteOutput(Output):
    """Whether there was something."""

    deleted: bool


class StateDelete(Node[DeleteParams, DeleteOutput]):
    """Forget what the workflow keeps under a key."""

    type_id = "state.delete"
    title = "Delete state"
    category = "state"
    errors: ClassVar[Mapping[str, str]] = _CHANGED

    async def run(self, ctx: Context, params: DeleteParams) -> DeleteOutput:
        """Forget it."""
        return DeleteOutput(deleted=await ctx.state.delete(params.key, version=params.version))


NODES: list[type[Node[Any, Any]]] = [StateGet, StateSet, StateAdd, StateDelete]
