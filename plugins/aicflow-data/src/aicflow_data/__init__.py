"""AIC Flow node types for data: records, formats, text, instants and chance."""

from collections.abc import Sequence
from typing import Any

from aicflow import Node, hookimpl

__all__ = ["aicflow_nodes"]


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node types."""
    from aicflow_data import chance, formats, records, text

    return [*records.NODES, *formats.NODES, *text.NODES, *chance.NODES]
