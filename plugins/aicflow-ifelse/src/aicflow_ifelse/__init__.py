"""AIC Flow node types logic.if_else and logic.switch: branching. What is imported here is loaded when it is first asked
for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

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

__getattr__ = lazy_names(
    __name__,
    conditions="Condition",
    if_else="IfElse IfElseOutput IfElseParams",
    switch="Switch SwitchCase SwitchOutput SwitchParams",
)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The branching node types."""
    from aicflow_ifelse.if_else import IfElse
    from aicflow_ifelse.switch import Switch

    return [IfElse, Switch]
