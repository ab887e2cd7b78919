"""What the rules of types share: where a path begins, what values must be, and who is told when they are not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

from aicflow_language.expr import Node, Span
from aicflow_language.expr.ast import Name, Step

from aicflow.language.schema import SchemaView
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.facts import Environment
from aicflow.language.validation.finding import Finding, a_kind, kinds_in_words
from aicflow.language.validation.views import ALL, kinds_of


class Start:
    """Where a path from a root stands after its first steps: its type, how many steps were taken, and what to tell
    where it is used as if it were there (`absent`) and not null (`null`). `fields`: what some next steps find, where
    the type does not say so."""

    __slots__ = ("absent", "fields", "null", "taken", "view")

    def __init__(
        self,
        view: SchemaView,
        taken: int = 0,
        absent: Finding | None = None,
        null: Finding | None = None,
        fields: Mapping[str, Start] | None = None,
    ) -> None:
        self.view = view
        self.taken = taken
        self.absent = absent
        self.null = null
        self.fields = fields


class Roots(Protocol):
    """What the names of a place mean."""

    def enter(
        self, name: Name, steps: tuple[Step, ...], environment: Environment, tell: Callable[[Finding], None], soft: bool
    ) -> Start | None:
        """The beginning of a path; None when it leads nowhere, which has been told."""
        ...


class Typing(ABC):
    """The types in one expression. `tell` is given what is found, in no particular order."""

    def __init__(self, source: str, roots: Roots, tell: Callable[[Finding], None], effort: Effort) -> None:
        self.source = source
        self.roots = roots
        self.tell = tell
        self.effort = effort

    @abstractmethod
    def type_of(self, node: Node, at: Environment, soft: bool = False) -> SchemaView:
        """The type of a value; `soft` is what stands left of `??` or inside `has`, where nothing may be missing or
        null. Raises TooCostly."""

    def need(self, view: SchemaView, wanted: frozenset[str], span: Span, what: str, hint: str | None = None) -> bool:
        """Tell unless the value has one of the types. False when it never has."""
        kinds = kinds_of(view)
        if kinds == ALL or not kinds or kinds <= wanted:
            return True
        if not kinds & wanted:
            if hint is None and kinds == {"null"}:
                hint = "For a default instead of null, write (value ?? default)."
            self.tell(Finding("type.operand", f"{what}, and this is {a_kind(view)}.", span, hint))
            return False
        self.doubt(kinds - wanted, span, what, hint)
        return True

    def doubt(self, odd: frozenset[str], span: Span, what: str, hint: str | None = None) -> None:
        """Warn that a value may have one of these types, which does not work."""
        if odd == {"null"}:
            default = "For a default instead of null, write (value ?? default)."
            self.tell(Finding("type.maybe-null", f"{what}, and this may be null.", span, default, "warning"))
        else:
            message = f"{what}, and this may be {kinds_in_words(odd)}."
            self.tell(Finding("type.maybe-mismatch", message, span, hint, "warning"))
