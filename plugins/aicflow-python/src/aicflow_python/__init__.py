"""AIC Flow node type python.code: sandboxed Python."""

from collections.abc import Sequence
from typing import Any

from aicflow import Node, hookimpl

from aicflow_python.backends import probe
from aicflow_python.node import PythonCode, TrustedPythonCode
from aicflow_python.params import PythonParams
from aicflow_python.settings import PythonSettings

__all__ = ["PythonCode", "PythonParams", "PythonSettings", "TrustedPythonCode", "aicflow_nodes", "probe"]


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The Python node; which of the two stands for it is the operator's setting."""
    trusted = PythonSettings.from_environment().backends == ("trusted",)
    return [TrustedPythonCode if trusted else PythonCode]
