"""Nodes with a body: what may stand beside it, and the name of a map's items."""

from __future__ import annotations

from typing import Final

from aicflow_language.expr import FUNCTIONS, ROOTS, ExpressionError, compile_expression

from aicflow.kernel.document import Map, NodeEntry
from aicflow.kernel.ids import is_identifier
from aicflow.language.validation.report import Report
from aicflow.language.validation.subject import Body, Subject
from aicflow.texts import cut

NOT_BESIDE: Final = {
    "params": "Its options stand inside of {kind}.",
    "version": "Only node types have versions.",
    "on_recovery": "Its nodes say by themselves what happens to them after a crash.",
}
"""Options that stand beside a type only, each with what to do without it."""


def check_body(subject: Subject, report: Report) -> None:
    """The options of the node that a body belongs to, as far as they depend on there being one."""
    body = subject.body
    assert body is not None
    owner = body.outer.nodes[body.owner]
    if owner is not None:
        _check_beside(body, owner, report)
        if owner.map is not None:
            _check_name(body, owner.map, report)
    for i, node in enumerate(subject.nodes):
        if node is not None and node.run == "always":
            message = "A node inside of a body cannot always run."
            hint = f"Put it after {body.name!r}, outside."
            report.error("doc.schema", subject.pointer("nodes", i, "run"), message, hint=hint)


def _check_beside(body: Body, owner: NodeEntry, report: Report) -> None:
    for option, hint in NOT_BESIDE.items():
        if option in owner.model_fields_set:
            message = f"A {body.kind} has no {option}."
            at = body.outer.pointer("nodes", body.owner, option)
            report.error("doc.schema", at, message, hint=hint.format(kind=body.kind))
    if owner.retry is not None and body.kind != "group":
        message = f"A {body.kind} is not tried again as a whole."
        at = body.outer.pointer("nodes", body.owner, "retry")
        report.error("doc.schema", at, message, hint="Give retry to the nodes inside, or to a group of them.")


def _check_name(body: Body, entry: Map, report: Report) -> None:
    name = entry.as_
    hint = "Use letters, digits and _, such as `as: order`."
    if not is_identifier(name) or not _can_be_named(name):
        message = f"Expressions cannot name the item {cut(name, 80)!r}."
    elif name in (*ROOTS, "index", "carry") or name in FUNCTIONS:
        message, hint = f"The name {name!r} has a meaning in expressions already.", "Use another, such as `as: order`."
    else:
        return
    report.error("node.bad-id", f"{body.pointer}/as", message, hint=hint)


def _can_be_named(name: str) -> bool:
    try:
        found = compile_expression(name).references
    except ExpressionError:
        return False
    return [reference.root for reference in found] == [name]
