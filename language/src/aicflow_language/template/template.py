"""A value of a document with `${{ … }}` in its strings, compiled once and resolved for each execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from aicflow_language.template.errors import ResolutionError, TemplateProblem
from aicflow_language.template.text import Resolution, TemplateExpression, Text

__all__ = ["Branch", "Template"]

type Part = Branch | Text


class Branch:
    """A list or object with something to resolve in it: what it is otherwise, and which parts change."""

    __slots__ = ("base", "changes")

    def __init__(self, base: Any, changes: tuple[tuple[Any, Part], ...]) -> None:
        self.base = base
        self.changes = changes

    def resolve(self, resolution: Resolution) -> object:
        """A copy with the changing parts resolved; the others are shared."""
        made = self.base.copy()
        for key, part in self.changes:
            made[key] = part.resolve(resolution)
        return made


@final
class Template:
    """A compiled template. Immutable; may be resolved from any thread."""

    __slots__ = ("_constant", "_root", "expressions", "notices", "problems")

    def __init__(
        self,
        constant: object,
        root: Part | None,
        expressions: tuple[TemplateExpression, ...] = (),
        problems: tuple[TemplateProblem, ...] = (),
        notices: tuple[TemplateProblem, ...] = (),
    ) -> None:
        self._constant = constant
        self._root = root
        self.expressions = expressions
        """Every `${{ … }}`, in document order, those that do not compile included."""
        self.problems = problems
        """Everything that is wrong whatever the data, in document order."""
        self.notices = notices
        """What resolves and is hardly meant."""

    @property
    def is_static(self) -> bool:
        """Whether there are no expressions at all: then `resolve` always gives the same object."""
        return not self.expressions and not self.problems

    def resolve(self, scope: Mapping[str, object], reveal: Callable[[str], str] | None = None) -> Any:
        """The value with every expression replaced by its value against the scope; data is never evaluated again.

        Only lists and objects on the way to an expression are copied; everything else is shared with the document
        and the scope, so the value must not be changed. `reveal` gives the text of a secret by its name and is asked
        only in places that take secrets; what it raises is passed on. Raises ResolutionError, also when the template
        has problems.
        """
        if self.problems:
            problem = self.problems[0]
            raise ResolutionError(problem.code, problem.message, problem.span, problem.hint, problem.pointer)
        if self._root is None:
            return self._constant
        return self._root.resolve(Resolution(scope, reveal))
