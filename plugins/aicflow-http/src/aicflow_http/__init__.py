"""AIC Flow node type http.request: calls over HTTP."""

from collections.abc import Sequence
from typing import Any

from aicflow import Node, hookimpl

from aicflow_http.host_rules import HostRules
from aicflow_http.node import HttpRequest
from aicflow_http.params import HttpRequestParams, HttpResponse
from aicflow_http.settings import HttpSettings

__all__ = ["HostRules", "HttpRequest", "HttpRequestParams", "HttpResponse", "HttpSettings", "aicflow_nodes"]


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node type http.request."""
    return [HttpRequest]
