"""A compiled expression, and the bounded cache of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, final

from aicflow_language.expr.ast import Node
from aicflow_language.expr.compiler import Compiler
from aicflow_language.expr.errors import EvaluationError, ExpressionError
from aicflow_language.expr.limits import Frame, Run
from aicflow_language.expr.parser import parse
from aicflow_language.expr.references import Reference, references_of
from aicflow_language.expr.values import SCALARS, Secret, check_built, not_json

_PASSED_ON: Final = SCALARS | {Secret}
_MOST_CACHED: Final = 8_192
_MOST_CACHED_CHARACTERS: Final = 131_072


@final
class Expression:
    """One expression, ready to be evaluated against any number of scopes, from any thread."""

    __slots__ = ("_builds", "_references", "_run", "_slots", "ast", "source")

    def __init__(self, source: str, ast: Node) -> None:
        self.source = source
        self.ast = ast
        self._run: Run | None = None
        self._references: tuple[Reference, ...] | None = None
        self._slots = 0
        self._builds = False

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every use of a root, in the order of the source."""
        if self._references is None:
            self._references = references_of(self.ast)
        return self._references

    def evaluate(self, scope: Mapping[str, object]) -> Any:  # JSON is known only to whoever knows the schemas
        """The value against the data: a JSON value, part of the scope where possible, or a `Secret`.

        The scope holds the roots: `input`, `trigger`, `nodes`, `vars`, `secrets`, `execution`; a node that has not
        run is absent. The value must not be changed, for it may be part of the scope. Raises EvaluationError.
        """
        return self.evaluate_in(Frame(), scope)

    def evaluate_in(self, frame: Frame, scope: Mapping[str, object]) -> Any:
        """As `evaluate`, with the work counted in a frame that several evaluations may share."""
        try:
            run = self._run or self._compiled()
            if self._slots:
                frame.variables = [None] * self._slots
            value = run(scope, frame)
        except RecursionError:
            raise EvaluationError(
                "eval.limit", "There is no room left on the stack to evaluate this", self.ast.span
            ) from None
        kind = type(value)
        if kind is str or kind is int or kind in _PASSED_ON:
            return value
        if kind is float:
            assert isinstance(value, float)
            if math.isfinite(value):
                return value
        elif kind is list or kind is dict:
            if self._builds:
                check_built(value, frame, self.ast.span)
            return value
        error = not_json(value, self.ast.span)
        assert error is not None
        raise error

    def prepare(self) -> None:
        """Compile now what the first evaluation would compile."""
        if self._run is None:
            self._compiled()

    def _compiled(self) -> Run:
        """Compile on first use: validation reads many expressions that it never evaluates."""
        compiler = Compiler()
        run = compiler.compile(self.ast, is_value=True)
        self._slots = compiler.slots
        self._builds = compiler.builds
        self._run = run  # last, so that another thread never sees half of it
        return run


class _Cache:
    """The expressions used last, within a bound on how many there are and how long their sources are together."""

    def __init__(self, most: int, most_characters: int) -> None:
        self._most = most
        self._most_characters = most_characters
        self._entries: OrderedDict[str, Expression] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def get(self, source: str) -> Expression:
        with self._lock:
            found = self._entries.get(source)
            if found is not None:
                self._entries.move_to_end(source)
                return found
        try:
            made = Expression(source, parse(source))
        except RecursionError:
            message = "There is no room left on the stack to read this"
            raise ExpressionError("expr.too-deep", message, (0, len(source))) from None
        with self._lock:
            if source not in self._entries:
                self._entries[source] = made
                self._characters += len(source)
            while len(self._entries) > self._most or self._characters > self._most_characters:
                oldest, _ = self._entries.popitem(last=False)
                self._characters -= len(oldest)
        return made


_cache: Final = _Cache(_MOST_CACHED, _MOST_CACHED_CHARACTERS)


def compile_expression(source: str) -> Expression:
    """The expression of this source, from the cache when it was used lately. Raises ExpressionError.

    A name that is not a root is no error here: it is seen in `references`, and raises when it is evaluated.
    """
    return _cache.get(source)
