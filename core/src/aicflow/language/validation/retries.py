"""`retry.on`: every name is one that an attempt of the node can fail with."""

from __future__ import annotations

import builtins
from typing import Final

from aicflow_language.suggest import did_you_mean

from aicflow.kernel import errors
from aicflow.language.validation.report import Report
from aicflow.language.validation.subject import Subject
from aicflow.texts import cut

_TYPES: Final = frozenset(
    name
    for module in (builtins, errors)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)

_ANY_NODE: Final = (
    errors.NodeError, errors.TransientError, errors.StepTimeout, errors.PermanentError, errors.ParamsInvalid,
    errors.OutputInvalid, errors.OutputTooLarge, errors.ReferenceFailed,
)  # fmt: skip
ATTEMPT_CODES: Final = frozenset(
    {error.code for error in _ANY_NODE}
    | {
        error.code
        for error in (errors.ParamsInvalid, errors.OutputInvalid, errors.OutputTooLarge, errors.ReferenceFailed)
    }
    | {
        "unexpected-error",
        "secret-missing",
        "secret-unavailable",
        "secret-not-loaded",
        "secret-invalid",
        "node-type-disabled",
    }
)
"""The codes with which an attempt of any node may fail; `unexpected-error` is an exception that is no NodeError."""


def check_retries(subject: Subject, report: Report) -> None:
    """Names that would never match."""
    for i, (node, registered) in enumerate(zip(subject.nodes, subject.types, strict=True)):
        if node is None or registered is None or node.retry is None or not node.retry.on:
            continue
        try:
            own = registered.cls.errors_for(node.type_params)
        except Exception:  # params of the wrong shape have their own issues
            own = None
        codes = sorted(ATTEMPT_CODES.union(own or ()))
        for position, name in enumerate(node.retry.on):
            if name == "*" or name in _TYPES or name in codes:
                continue
            near = did_you_mean(name, [*codes, *sorted(_TYPES)])
            (report.warning if own is None else report.error)(
                "node.unknown-error",
                subject.pointer("nodes", i, "retry", "on", position),
                f"{node.type_id} does not fail with {cut(name, 80)!r}."
                if own is not None
                else f"{node.type_id} does not declare its errors, so {cut(name, 80)!r} may never match.",
                hint=near
                or f"Codes: {', '.join(codes[:40])}; or an exception type, or * for all but permanent errors.",
            )
