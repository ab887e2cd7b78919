"""AIC Flow node type http.request: calls over HTTP. What is imported here is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

    from aicflow_http.node import HttpRequest
    from aicflow_http.params import HttpRequestParams, HttpResponse

__all__ = ["HttpRequest", "HttpRequestParams", "HttpResponse", "aicflow_nodes"]

__getattr__ = lazy_names(__name__, node="HttpRequest", params="HttpRequestParams HttpResponse")


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node type http.request."""
    from aicflow_http.node import HttpRequest

    return [HttpRequest]
