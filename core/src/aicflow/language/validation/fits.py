"""Does the value of an expression fit the place it goes to?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aicflow.kernel.issues import Severity
from aicflow.language.schema import Presence, ReasonKind, SchemaView, Verdict
from aicflow.language.validation.effort import Effort
from aicflow.language.validation.finding import WHOLE, Finding, a_kind, kinds_in_words
from aicflow.language.validation.views import ALL, ANYTHING, NUMERIC, access, is_known, kinds_of

_TEXT_SHAPE: Final = frozenset(("minLength", "maxLength", "pattern", "format"))
"""How long or how formed a text is is seldom declared; a doubt about that would stand at every other reference."""
_LISTS_AND_OBJECTS: Final = frozenset(("array", "object"))


def place_of(schema: SchemaView, path: tuple[str | int, ...]) -> SchemaView | None:
    """The schema of a place inside a value; None when nothing can be there or nothing is known."""
    view = schema
    if view is ANYTHING:
        return None
    for key in path:
        found = access(view, key)
        if found.presence is Presence.NEVER:
            return None
        view = found.view
    return None if view is ANYTHING else view


@dataclass(frozen=True, slots=True)
class Misfit:
    """What is wrong with a value of one type in a place of another. `path` leads to it inside the value, like a JSON
    pointer with `*` for any item."""

    code: str
    severity: Severity
    reason: str
    path: str
    hint: str | None = None

    @property
    def clause(self) -> str:
        """What is wrong, to follow a colon."""
        who = "the" if self.reason.startswith("field ") else "it"
        return f"{who} {self.reason}{f' (at {self.path})' if self.path else ''}"

    @property
    def message(self) -> str:
        """A sentence."""
        return f"The value {self.reason}{f' (at {self.path} inside it)' if self.path else ''}."


def misfit(value: SchemaView, place: SchemaView, effort: Effort) -> Misfit | None:
    """Whether a value of one type fits a place of another."""
    if not is_known(value):
        return None
    found = effort.compare(value, place)
    if found.verdict is Verdict.NO:
        hint = None if found.path else _conversion(kinds_of(value), kinds_of(place))
        return Misfit("type.mismatch", "error", found.reason, found.path, hint)
    if found.verdict is not Verdict.MAYBE or found.reason_kind is None or found.keyword in _TEXT_SHAPE:
        return None
    is_null = found.reason_kind is ReasonKind.MAYBE_NULL and not found.path
    hint = "Give a default with ??." if is_null else None
    return Misfit(f"type.{found.reason_kind.value}", "warning", found.reason, found.path, hint)


def _conversion(given: frozenset[str], wanted: frozenset[str]) -> str | None:
    """The function that makes what is wanted of what is given."""
    if given == {"string"}:
        if wanted & NUMERIC:
            return "Write int(…) around it." if "number" not in wanted else "Write float(…) around it."
        if "boolean" in wanted:
            return 'Compare it, such as value == "yes".'
    if "string" in wanted:
        if given <= {"integer", "number", "boolean"}:
            return "Write str(…) around it."
        if given <= _LISTS_AND_OBJECTS:
            return "Write json(…) around it."
    return None


def in_text(value: SchemaView) -> Finding | None:
    """What is wrong with a value where it becomes part of a text."""
    kinds = kinds_of(value)
    if not kinds or kinds == ALL:
        return None
    span = WHOLE
    default = 'Give a default, such as value ?? "", or write json(value) for the word null.'
    if kinds == {"null"}:
        return Finding("template.null", "The value is always null, which has no text.", span, default)
    if kinds <= _LISTS_AND_OBJECTS:
        hint = 'Write json(value) for JSON text, or join(list, ", ").'
        return Finding("template.object", f"The value is {a_kind(value)}, which has no text.", span, hint)
    if kinds <= _LISTS_AND_OBJECTS | {"null"}:
        hint = "Write json(value) for JSON text."
        return Finding("template.object", f"The value is {kinds_in_words(kinds)}, which has no text.", span, hint)
    odd = kinds & (_LISTS_AND_OBJECTS | {"null"})
    if odd == {"null"}:
        return Finding("type.maybe-null", "The value may be null, which has no text.", span, default, "warning")
    if odd:
        hint = "Write json(value) for JSON text."
        message = f"The value may be {kinds_in_words(odd)}, which has no text."
        return Finding("type.maybe-mismatch", message, span, hint, "warning")
    return None
