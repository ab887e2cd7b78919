"""Calls on what is installed: node types, trigger types, plugins, the document's schema; is the host ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_sdk.call import Call, Listing, encode_json, model, path
from aicflow_sdk.models import NodeType, Plugin, Readiness, TriggerType
from aicflow_sdk.replies import Reply

__all__ = [
    "configure_node_type", "get_node_type", "get_plugin", "get_trigger_type", "list_node_types", "list_plugins",
    "list_trigger_types", "ready", "schema",
]  # fmt: skip


def list_node_types(*, limit: int | None = None) -> Listing[NodeType]:
    """The installed node types by id, the newest version of each."""
    return Listing(path=path("node-types"), item=NodeType, limit=limit)


def get_node_type(type_id: str) -> Call[NodeType]:
    """One node type. Raises NotFound."""
    return Call(method="GET", path=path("node-types", type_id), parse=model(NodeType), repeatable=True)


def configure_node_type(
    type_id: str, *, enabled: bool | None = None, default_params: Mapping[str, Any] | None = None
) -> Call[NodeType]:
    """Switch a node type off or on, or give it default params; effective at once. What is left out stays."""
    given = {"enabled": enabled, "default_params": dict(default_params) if default_params is not None else None}
    return Call(
        method="PATCH",
        path=path("node-types", type_id),
        body=encode_json({name: value for name, value in given.items() if value is not None}),
        parse=model(NodeType),
        repeatable=True,
    )


def list_trigger_types(*, limit: int | None = None) -> Listing[TriggerType]:
    """The installed trigger types by id."""
    return Listing(path=path("trigger-types"), item=TriggerType, limit=limit)


def get_trigger_type(type_id: str) -> Call[TriggerType]:
    """One trigger type. Raises NotFound."""
    return Call(method="GET", path=path("trigger-types", type_id), parse=model(TriggerType), repeatable=True)


def list_plugins(*, limit: int | None = None) -> Listing[Plugin]:
    """The installed plugins, those that failed too, with the reason."""
    return Listing(path=path("plugins"), item=Plugin, limit=limit)


def get_plugin(name: str) -> Call[Plugin]:
    """One plugin. Raises NotFound."""
    return Call(method="GET", path=path("plugins", name), parse=model(Plugin), repeatable=True)


def _json(reply: Reply) -> Any:
    return reply.json()


def schema() -> Call[Any]:
    """The JSON Schema of the workflow document, with the params of every installed type."""
    return Call(method="GET", path=path("schema", "workflow"), parse=_json, repeatable=True)


def ready() -> Call[Readiness]:
    """Whether the server can accept and run executions; an answer also when it cannot."""
    return Call(
        method="GET",
        path=path("readyz", api=False),
        parse=model(Readiness),
        repeatable=True,
        accept=frozenset({503}),
    )
