"""AIC Flow node types for files: CSV and Excel, PDF text, ZIP archives, text."""

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
    from aicflow_files import archives, documents, rows

    return [*rows.NODES, *documents.NODES, *archives.NODES]
