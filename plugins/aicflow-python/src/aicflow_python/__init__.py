"""AIC Flow node type python.code: sandboxed Python. What is imported here is loaded when it is first asked for."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aicflow import Node, hookimpl

if TYPE_CHECKING:
    from aicflow_python.backends import probe
    from aicflow_python.node import PythonCode, TrustedPythonCode
    from aicflow_python.params import PythonParams
    from aicflow_python.settings import PythonSettings

__all__ = ["PythonCode", "PythonParams", "PythonSettings", "TrustedPythonCode", "aicflow_nodes", "probe"]

_PLACES = {
    "PythonCode": "node",
    "PythonParams": "params",
    "PythonSettings": "settings",
    "TrustedPythonCode": "node",
    "probe": "backends",
}


def __getattr__(name: str) -> Any:
    # There is no __dir__ beside it on purpose: the plugin manager asks for every name that dir() gives.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The Python node; which of the two stands for it is the operator's setting."""
    from aicflow_python.node import PythonCode, TrustedPythonCode
    from aicflow_python.settings import PythonSettings

    trusted = PythonSettings.from_environment().backends == ("trusted",)
    return [TrustedPythonCode if trusted else PythonCode]
