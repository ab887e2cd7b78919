"""AIC Flow node type http.request: calls over HTTP. What is imported here is loaded when it is first asked for."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aicflow import Command, Node, hookimpl

if TYPE_CHECKING:
    from aicflow_http.curl import CurlImport, from_curl, to_curl
    from aicflow_http.node import HttpRequest
    from aicflow_http.params import HttpRequestParams, HttpResponse

__all__ = [
    "CurlImport",
    "HttpRequest",
    "HttpRequestParams",
    "HttpResponse",
    "aicflow_commands",
    "aicflow_nodes",
    "from_curl",
    "to_curl",
]

_PLACES = {
    "CurlImport": "curl",
    "HttpRequest": "node",
    "HttpRequestParams": "params",
    "HttpResponse": "params",
    "from_curl": "curl",
    "to_curl": "curl",
}


def __getattr__(name: str) -> Any:
    # There is no __dir__ beside it on purpose: the plugin manager asks for every name that dir() gives.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node type http.request."""
    from aicflow_http.node import HttpRequest

    return [HttpRequest]


@hookimpl
def aicflow_commands() -> Sequence[Command]:
    """curl command lines to params and back."""
    from aicflow_http.commands import COMMANDS

    return COMMANDS
