"""AIC Flow node types logic.if_else and logic.switch: branching."""

from collections.abc import Sequence
from typing import Any

from aicflow import Node, hookimpl

from aicflow_ifelse.conditions import Condition
from aicflow_ifelse.if_else import IfElse, IfElseOutput, IfElseParams
from aicflow_ifelse.switch import Switch, SwitchCase, SwitchOutput, SwitchParams

__all__ = [
    "Condition",
    "IfElse",
    "IfElseOutput",
    "IfElseParams",
    "Switch",
    "SwitchCase",
    "SwitchOutput",
    "SwitchParams",
    "aicflow_nodes",
]


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The branching node types."""
    return [IfElse, Switch]
