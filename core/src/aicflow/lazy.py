"""What is imported when somebody first needs it: names of a package, and distributions of the extra `server`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from aicflow.kernel.errors import AICFlowError

__all__ = ["lazy_names", "needs"]


def lazy_names(package: str, **modules: str) -> Callable[[str], Any]:
    """A `__getattr__` for a package: `__getattr__ = lazy_names(__name__, node="Agent", params="AgentParams Tool")`.

    There must be no `__dir__` beside it: the plugin manager looks up every name that dir() lists.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return load


def needs(module: str, what: str) -> Any:
    """A module that `pip install aicflow` alone does not bring. Raises AICFlowError that says what needs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise AICFlowError(
            f"{what} needs {module.replace('_', '-')}, which is not installed.", hint="pip install 'aicflow[server]'"
        ) from None
