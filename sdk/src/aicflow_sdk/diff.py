"""What has changed in meaning between two workflows, also ones that never saw a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_language.diff import Change, Diff, NotADocument
from aicflow_language.diff import diff as compare

from aicflow_sdk.documents import HasDocument, document_of
from aicflow_sdk.errors import BuildError

__all__ = ["Change", "Diff", "diff"]


def diff(old: HasDocument | Mapping[str, Any], new: HasDocument | Mapping[str, Any]) -> Diff:
    """Compare two workflows, documents or ones built in Python. The order of nodes and edges, defaults written out, and
    the spelling of expressions do not count; a node that only has a new id is a renaming. Raises BuildError."""
    try:
        return compare(document_of(old), document_of(new))
    except NotADocument as error:
        raise BuildError(f"This is not a workflow document: {error}.") from None
