"""Names of a package that are imported when somebody first asks for them."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


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
