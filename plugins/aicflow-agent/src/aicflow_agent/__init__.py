"""AIC Flow node type ai.agent. What is imported here is loaded when it is first asked for; LangChain when the node
starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aicflow import hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

    from aicflow_agent.node import Agent
    from aicflow_agent.params import AgentOutput, AgentParams, AgentUsage, Message, Price, Tool

__all__ = ["Agent", "AgentOutput", "AgentParams", "AgentUsage", "Message", "Price", "Tool", "aicflow_nodes"]

__getattr__ = lazy_names(__name__, node="Agent", params="AgentOutput AgentParams AgentUsage Message Price Tool")


@hookimpl
def aicflow_nodes() -> list[type[Node[Any, Any]]]:
    """The node type that this plugin adds."""
    from aicflow_agent.node import Agent

    return [Agent]
