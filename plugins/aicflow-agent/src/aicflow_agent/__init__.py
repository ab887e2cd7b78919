"""AIC Flow node type ai.agent. What is imported here is loaded when it is first asked for; LangChain when the node
starts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aicflow import Node, hookimpl

if TYPE_CHECKING:
    from aicflow_agent.node import Agent
    from aicflow_agent.params import AgentOutput, AgentParams, AgentUsage, Message, Price, Tool

__all__ = ["Agent", "AgentOutput", "AgentParams", "AgentUsage", "Message", "Price", "Tool", "aicflow_nodes"]

_PLACES = {
    "Agent": "node",
    "AgentOutput": "params",
    "AgentParams": "params",
    "AgentUsage": "params",
    "Message": "params",
    "Price": "params",
    "Tool": "params",
}


def __getattr__(name: str) -> Any:
    # There is no __dir__ beside it on purpose: the plugin manager asks for every name that dir() gives.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


@hookimpl
def aicflow_nodes() -> list[type[Node[Any, Any]]]:
    """The node type that this plugin adds."""
    from aicflow_agent.node import Agent

    return [Agent]
