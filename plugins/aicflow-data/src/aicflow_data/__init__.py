"""AIC Flow node types for data: records, formats, text, state, instants and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aicflow import hookimpl, lazy_names

if TYPE_CHECKING:
    from aicflow import Node

__all__ = ["aicflow_nodes"]

__getattr__ = lazy_names(__name__)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The node types."""
    from aicflow_data import chance, formats, records, state, text

    return [*records.NODES, *formats.NODES, *text.NODES, *chance.NODES, *state.NODES]
