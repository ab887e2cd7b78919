"""The plugin `aicflow-agent`: node type `ai.agent`. Importing it is cheap; LangChain is loaded when the node starts."""

from __future__ import annotations

from aicflow import Node, hookimpl

from aicflow_agent.node import Agent
from aicflow_agent.params import AgentOutput, AgentParams, AgentUsage, Message, Price, Tool

__all__ = ["Agent", "AgentOutput", "AgentParams", "AgentUsage", "Message", "Price", "Tool", "aicflow_nodes"]


@hookimpl
def aicflow_nodes() -> list[type[Node[AgentParams, AgentOutput]]]:
    """The node type that this plugin adds."""
    return [Agent]
