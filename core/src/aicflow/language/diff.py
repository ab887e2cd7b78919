"""What has changed in meaning between two workflow documents: `aicflow_language.diff`, which learns from the registry
which params are code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aicflow_language.diff import Change, Diff, NotADocument, index
from aicflow_language.diff import diff as compare

from aicflow.kernel.errors import AICFlowError, NotFound
from aicflow.kernel.registry import Registry

__all__ = ["Change", "Diff", "check_shape", "diff"]


def diff(old: Any, new: Any, registry: Registry | None = None) -> Diff:
    """Compare two documents. Raises AICFlowError for what has not the shape of a workflow document."""

    def params_schema(top: str, type_id: str) -> Mapping[str, Any] | None:
        assert registry is not None
        try:
            return (registry.node if top == "nodes" else registry.trigger)(type_id).cls.params_schema()
        except NotFound:
            return None  # it is not installed any more

    try:
        return compare(old, new, params_schema if registry is not None else None)
    except NotADocument as error:
        raise _unusable(error) from None


def check_shape(document: Any) -> None:
    """Raise AICFlowError unless it can be compared: it has the shape of a workflow document, valid or not."""
    try:
        index(document)
    except NotADocument as error:
        raise _unusable(error) from None


def _unusable(error: NotADocument) -> AICFlowError:
    return AICFlowError(f"This is not a workflow document: {error}.", hint="`aicflow validate` lists all problems.")
