"""AIC Flow node types logic.if_else and logic.switch: branching. What is imported here is loaded when it is first asked
for."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aicflow import Node, hookimpl

if TYPE_CHECKING:
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

_PLACES = {
    "Condition": "conditions",
    "IfElse": "if_else",
    "IfElseOutput": "if_else",
    "IfElseParams": "if_else",
    "Switch": "switch",
    "SwitchCase": "switch",
    "SwitchOutput": "switch",
    "SwitchParams": "switch",
}


def __getattr__(name: str) -> Any:
    # There is no __dir__ beside it on purpose: the plugin manager asks for every name that dir() gives.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The branching node types."""
    from aicflow_ifelse.if_else import IfElse
    from aicflow_ifelse.switch import Switch

    return [IfElse, Switch]
