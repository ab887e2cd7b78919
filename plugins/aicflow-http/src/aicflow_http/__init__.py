"""AIC Flow node type http.request: calls over HTTP. What is imported here is loaded when it is first asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import Command, Node, hookimpl, lazy_names

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

__getattr__ = lazy_names(
    __name__, curl="CurlImport from_curl to_curl", node="HttpRequest", params="HttpRequestParams HttpResponse"
)


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
