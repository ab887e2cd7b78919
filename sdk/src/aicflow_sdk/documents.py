"""What is accepted as a workflow: the bytes of its document, and what has changed in meaning between two, also ones
that never saw a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aicflow_language.diff import Change, Diff, NotADocument
from aicflow_language.diff import diff as compare

from aicflow_sdk.errors import BuildError
from aicflow_sdk.messages import encode_json

__all__ = ["Change", "Diff", "HasDocument", "WorkflowSource", "diff", "document_bytes", "document_of"]


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


def diff(old: HasDocument | Mapping[str, Any], new: HasDocument | Mapping[str, Any]) -> Diff:
    """Compare two workflows, documents or ones built in Python. The order of nodes and edges, defaults written out, and
    the spelling of expressions do not count; a node that only has a new id is a renaming. Raises BuildError."""
    try:
        return compare(document_of(old), document_of(new))
    except NotADocument as error:
        raise BuildError(f"This is not a workflow document: {error}.") from None
