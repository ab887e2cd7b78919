"""What is accepted as a workflow, as the bytes of a document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aicflow_sdk.messages import encode_json

__all__ = ["HasDocument", "WorkflowSource", "document_bytes", "document_of"]


@runtime_checkable
class HasDocument(Protocol):
    """A workflow built in Python."""

    def to_dict(self) -> dict[str, Any]: ...


type WorkflowSource = HasDocument | Mapping[str, Any] | Path
"""A workflow built in Python, a document as a dict, or a JSON or YAML file."""


def document_bytes(source: WorkflowSource) -> tuple[bytes, str]:
    """The document and its content type. Raises TypeError, ValueError, OSError."""
    if isinstance(source, Path):
        yaml = source.suffix.lower() in (".yaml", ".yml")
        return source.read_bytes(), "application/yaml" if yaml else "application/json"
    return encode_json(document_of(source)), "application/json"


def document_of(source: HasDocument | Mapping[str, Any]) -> dict[str, Any]:
    """The document as a dict. Raises TypeError."""
    if isinstance(source, Mapping):
        return dict(source)
    if isinstance(source, HasDocument):
        return source.to_dict()
    raise TypeError(f"expected a Workflow, a dict or a Path, not {type(source).__name__}")
