"""AIC Flow node type http.request: calls over HTTP."""

from collections.abc import Sequence
from typing import Any

from aicflow import Command, Node, hookimpl

from aicflow_http.commands import COMMANDS
from aicflow_http.curl import CurlImport, from_curl, to_curl
from aicflow_http.host_rules import HostRules
from aicflow_http.node import HttpRequest
from aicflow_http.params import HttpRequestParams, HttpResponse
from aicflow_http.settings import HttpSettings

__all__ = [
    "CurlImport",
    "HostRules",
    "HttpRequest",
    "HttpRequestParams",
    "HttpResponse",
    "HttpSettings",
    "aicflow_commands",
    "aicflow_nodes",
    "from_curl",
    "to_curl",
]


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node type http.request."""
    return [HttpRequest]


@hookimpl
def aicflow_commands() -> Sequence[Command]:
    """curl command lines to params and back."""
    return COMMANDS
