"""Closures that make new values: lists, objects, loops, and calls of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aicflow_language.expr.ast import Comprehension, DictDisplay, ListDisplay, Node, children
from aicflow_language.expr.errors import Span
from aicflow_language.expr.frame import Frame
from aicflow_language.expr.paths import Run
from aicflow_language.expr.site import Site
from aicflow_language.expr.values import check_keys, refuse

__all__ = ["call", "comprehension", "dict_display", "list_display"]


def list_display(items: Sequence[Run]) -> Run:
    """`[a, b]`"""

    def run(scope: object, frame: Frame) -> object:
        return [item(scope, frame) for item in items]

    return run


def dict_display(pairs: Sequence[tuple[Run, Run, Span]]) -> Run:
    """`{"a": 1}`"""

    def run(scope: object, frame: Frame) -> object:
        made: dict[str, object] = {}
        for key_of, value_of, span in pairs:
            key = key_of(scope, frame)
            if not isinstance(key, str) or type(key) is not str:
                raise refuse(key, "text as a key", span)
            made[key] = value_of(scope, frame)
        return made

    return run


def call(implementation: Callable[..., object], site: Site, arguments: Sequence[Run]) -> Run:
    """`function(arguments)`"""
    if len(arguments) == 1:
        (only,) = arguments

        def one(scope: object, frame: Frame) -> object:
            return implementation(site, frame, only(scope, frame))

        return one

    def many(scope: object, frame: Frame) -> object:
        return implementation(site, frame, *[argument(scope, frame) for argument in arguments])

    return many


def comprehension(node: Comprehension, slot: int, iterable: Run, element: Run, condition: Run | None) -> Run:
    """`[element for variable in iterable if condition]`"""
    span, source_span = node.span, node.iterable.span
    condition_span = node.condition.span if node.condition is not None else span
    cost = 16 + _weight(node.element) + (_weight(node.condition) if node.condition is not None else 0)

    def run(scope: object, frame: Frame) -> object:
        made: list[object] = []
        variables = frame.variables
        for item in _items(iterable(scope, frame), frame, source_span):
            frame.turn(cost, span)
            variables[slot] = item
            if condition is not None:
                chosen = condition(scope, frame)
                if chosen is False:
                    continue
                if chosen is not True:
                    raise refuse(chosen, "true or false after 'if'", condition_span, "Compare it, such as x > 0.")
            made.append(element(scope, frame))
        return made

    return run


def _items(value: object, frame: Frame, span: Span) -> Iterable[object]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        check_keys(value, frame, span)
        return value
    hint = None
    if value is None:
        hint = "For no turns at all instead of null, write (value ?? [])."
    elif isinstance(value, str):
        hint = 'To loop over lines, write split(text, "\\n").'
    raise refuse(value, "a list or an object to loop over", span, hint)


def _weight(node: Node) -> int:
    """Fuel for evaluating the node once, its own loops apart: time for its operators, memory for what it makes."""
    own = 10
    if isinstance(node, ListDisplay):
        own += 14 + 2 * len(node.items)
    elif isinstance(node, DictDisplay):
        own += 16 + 26 * len(node.items)
    return own + sum(_weight(child) for child in children(node))
