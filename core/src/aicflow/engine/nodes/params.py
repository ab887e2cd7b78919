"""A step's params: resolved references, checked against the node's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aicflow_language.template import ResolutionError, Template

from aicflow.kernel.errors import ReferenceFailed
from aicflow.kernel.node import Params
from aicflow.language.params import checked_params
from aicflow.language.plan import PlannedNode


def step_params(node: PlannedNode, scope: Mapping[str, Any], reveal: Callable[[str], str]) -> Params:
    """The node's params for this execution. Raises ReferenceFailed, ParamsInvalid. Params without references are
    checked once and shared: models do not change."""
    if node.fixed_params is not None:
        return node.fixed_params  # type: ignore[no-any-return]
    params: Params = checked_params(node.cls.params_model, resolved(node.params, scope, reveal, "params"))
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
