"""A step's params: resolved references, checked against the node's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from aicflow.kernel.errors import ParamsInvalid, ReferenceFailed
from aicflow.kernel.node import NodeType, Params
from aicflow.kernel.plan import PlannedNode
from aicflow.kernel.template import ResolutionError, Template
from aicflow.kernel.values import pointer

__all__ = ["resolved", "step_params", "validated"]

_MOST_PROBLEMS = 10


def step_params(node: PlannedNode, scope: Mapping[str, Any], reveal: Callable[[str], str]) -> Params:
    """The node's params for this execution. Raises ReferenceFailed, ParamsInvalid. Params without references are
    checked once and shared: models do not change."""
    if node.fixed_params is not None:
        return node.fixed_params  # type: ignore[no-any-return]
    params = validated(node.cls, resolved(node.params, scope, reveal, "params"))
    if node.params.is_static:
        node.fixed_params = params
    return params


def resolved(template: Template, scope: Mapping[str, Any], reveal: Callable[[str], str] | None, where: str) -> Any:
    """The template's value. Raises ReferenceFailed with the pointer of the reference that failed."""
    try:
        return template.resolve(scope, reveal)
    except ResolutionError as error:
        raise ReferenceFailed(
            f"{where}{error.pointer}: {error.message}",
            hint=error.hint,
            pointer=error.pointer,
            details={"reason": error.code},
        ) from None


def validated(cls: NodeType, params: Mapping[str, Any]) -> Params:
    """The params as the node's model. Raises ParamsInvalid that lists what does not fit, never the values."""
    try:
        return cls.params_model.model_validate(params)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        first = problems[0]
        raise ParamsInvalid(
            "; ".join(f"params{pointer(*p['loc'])}: {p['msg']}" for p in problems[:_MOST_PROBLEMS]),
            pointer=pointer(*first["loc"]),
        ) from None
