"""AIC Flow node type python.code: sandboxed Python. What is imported here is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

    from aicflow_python.node import PythonCode, TrustedPythonCode, probe
    from aicflow_python.params import PythonParams
    from aicflow_python.settings import PythonSettings

__all__ = ["PythonCode", "PythonParams", "PythonSettings", "TrustedPythonCode", "aicflow_nodes", "probe"]

__getattr__ = lazy_names(
    __name__,
    node="PythonCode TrustedPythonCode probe",
    params="PythonParams",
    settings="PythonSettings",
)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The Python node; which of the two stands for it is the operator's setting."""
    from aicflow_python.node import PythonCode, TrustedPythonCode
    from aicflow_python.settings import PythonSettings

    trusted = PythonSettings.from_environment().backends == ("trusted",)
    return [TrustedPythonCode if trusted else PythonCode]
