"""Closures for paths of plain names, the commonest expression of all: `nodes.fetch.output.body.total`.

Each length has a closure of its own, because a chain of subscripts costs a third of a loop over the keys. Whatever
goes wrong, the whole path is walked again by the careful closure, which says what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aicflow_language.expr.frame import Frame

__all__ = ["Run", "path", "variable_path"]

type Run = Callable[[Any, Frame], object]
"""What an expression compiles to. The scope is `Any` because it is data: every type is looked at where it is used."""


def path(keys: tuple[str, ...], careful: Run) -> Run:
    """A closure that follows the keys from the scope on, and leaves failures to `careful`."""
    match keys:
        case (a, b):

            def two(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b]
                except Exception:
                    return careful(scope, frame)

            return two
        case (a, b, c):

            def three(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c]
                except Exception:
                    return careful(scope, frame)

            return three
        case (a, b, c, d):

            def four(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c][d]
                except Exception:
                    return careful(scope, frame)

            return four
        case (a, b, c, d, e):

            def five(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c][d][e]
                except Exception:
                    return careful(scope, frame)

            return five
        case _:

            def many(scope: Any, frame: Frame) -> object:
                value = scope
                try:
                    for key in keys:
                        value = value[key]
                except Exception:
                    return careful(scope, frame)
                return value

            return many


def variable_path(slot: int, keys: tuple[str, ...], careful: Run | None) -> Run:
    """A closure that follows the keys from a loop variable on, and leaves failures to `careful`."""
    if not keys or careful is None:

        def variable(scope: Any, frame: Frame) -> object:
            return frame.variables[slot]

        return variable

    def follow(scope: Any, frame: Frame) -> object:
        value: Any = frame.variables[slot]
        try:
            for key in keys:
                value = value[key]
        except Exception:
            return careful(scope, frame)
        return value

    return follow
