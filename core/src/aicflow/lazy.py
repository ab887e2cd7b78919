"""What is imported when somebody first needs it: distributions of the extra `server`."""

from importlib import import_module
from typing import Any

from aicflow.kernel.errors import AICFlowError


def needs(module: str, what: str) -> Any:
    """A module that `pip install aicflow` alone does not bring. Raises AICFlowError that says what needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise AICFlowError(
            f"{what} needs {module.replace('_', '-')}, which is not installed.", hint="pip install 'aicflow[server]'"
        ) from None
