"""Types along a path: what each step finds, whether it is always there, and what the question marks forgive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aicflow_language.expr import Span
from aicflow_language.expr.ast import Chain, Field, Index, Method, Name, Slice, Step
from aicflow_language.expr.references import constant_key
from aicflow_language.suggest import did_you_mean

from aicflow.language.schema import Presence, SchemaView
from aicflow.language.validation.calls import returned
from aicflow.language.validation.facts import Environment
from aicflow.language.validation.finding import Finding, a_kind, kinds_in_words
from aicflow.language.validation.rules import Start, Typing
from aicflow.language.validation.views import (
    ALL,
    ANYTHING,
    NULL,
    STRING,
    access,
    fields_of,
    is_known,
    item_of,
    kinds_of,
    merged,
    merged_some,
    sequence_of,
    unnull,
)

_INDEXED: Final = frozenset(("array", "string"))


_FIELDS_ASKED: Final = 20
_NO_FIELD: Final = "\0"
"""A key that no schema names: what it finds, any key finds."""


class _Stop(Exception):
    """The path leads no further; why has been told, if there is something to tell."""

    def __init__(self, view: SchemaView = ANYTHING) -> None:
        super().__init__()
        self.view = view


def follow(typing: Typing, chain: Chain, at: Environment, soft: bool) -> SchemaView:
    """The type of a path, anything where it cannot work."""
    try:
        return _Path(typing, chain, at, soft).walk()
    except _Stop as stop:
        return stop.view


class _Path:
    """One walk along one path."""

    def __init__(self, typing: Typing, chain: Chain, at: Environment, soft: bool) -> None:
        self._typing = typing
        self._chain = chain
        self._at = at
        self._soft = soft
        self._view: SchemaView = ANYTHING
        self._absent: Finding | None = None
        """What to tell where the value is used as if it were there."""
        self._null: Finding | None = None
        """What to tell where the value is used as if it were not null, when its type does not say so."""
        self._fields: Mapping[str, Start] | None = None
        self._path: tuple[object, ...] | None = None
        self._stopped_short = False
        """Whether a question mark may have ended the path before, with null."""

    def walk(self) -> SchemaView:
        """The type at the end."""
        steps = self._chain.steps
        self._typing.effort.parts.charge(len(steps) // 2)
        for position in range(self._begin(), len(steps)):
            step = steps[position]
            self._enter(step)
            self._take(position, step)
            key = constant_key(step)
            self._path = (*self._path, key) if self._path is not None and key is not None else None
            self._apply_fact()
            if step.optional and self._absent is not None and not self._soft:
                # where there is nothing, the step gives null, and the path goes on with that
                self._forgive()
                self._view = merged([self._view, NULL])
        if self._absent is not None:
            if self._soft:
                self._forgive()
            else:
                self._tell_absent()
        if self._null is not None and kinds_of(self._view) != ALL:
            self._view = merged([self._view, NULL])
        return merged([self._view, NULL]) if self._stopped_short and not self._soft else self._view

    def _begin(self) -> int:
        base = self._chain.base
        if not isinstance(base, Name):
            self._view = self._typing.type_of(base, self._at, self._soft)
            return 0
        variable = self._at.variables.get(base.name)
        if variable is not None:
            self._view, self._path = variable.view, (variable.mark,)
            self._apply_fact()
            return 0
        roots, steps = self._typing.roots, self._chain.steps
        start: Start | None = roots.enter(base, steps, self._at, self._typing.tell, self._soft)
        if start is None:
            self._look_inside(0)
            raise _Stop
        self._look_inside(0, start.taken)
        self._view, self._absent, self._null = start.view, start.absent, start.null
        self._fields = start.fields
        keys = [constant_key(step) for step in steps[: start.taken]]
        self._path = (base.name, *keys)
        self._apply_fact()
        return start.taken

    def _look_inside(self, first: int, last: int | None = None) -> None:
        """Check the expressions inside steps that are not followed."""
        for step in self._chain.steps[first:last]:
            inner: tuple[object, ...] = ()
            if isinstance(step, Index):
                inner = (step.index,)
            elif isinstance(step, Method):
                inner = step.arguments
            elif isinstance(step, Slice):
                inner = (step.lower, step.upper)
            for node in inner:
                if node is not None:
                    self._typing.type_of(node, self._at)  # type: ignore[arg-type]

    def _apply_fact(self) -> None:
        fact = None if self._path is None else self._at.facts.get(self._path)
        if fact is None:
            return
        self._absent = None
        if fact:
            self._null = None
            self._view = unnull(self._view) if fact is True else fact

    # Before a step: the value must be there and not be null

    def _enter(self, step: Step) -> None:
        if self._absent is not None:
            if step.optional or self._soft:
                self._forgive()
                self._stopped_short = True
            else:
                self._tell_absent()
        kinds = kinds_of(self._view)
        null = self._null
        if null is None and "null" in kinds and kinds != ALL:
            null = self._null_finding(step, always=kinds == {"null"})
        self._null = None
        if null is None:
            return
        if step.optional or self._soft:
            self._stopped_short = True
            if kinds == {"null"}:
                raise _Stop(NULL)
        else:
            self._typing.tell(null)
            if kinds == {"null"}:
                raise _Stop
        self._view = unnull(self._view)

    def _tell_absent(self) -> None:
        assert self._absent is not None
        self._typing.tell(self._absent)
        if self._absent.severity == "error":
            raise _Stop
        self._absent = None

    def _forgive(self) -> None:
        """A default stands by for what is not there. That it is never there is worth a word."""
        absent = self._absent
        if absent is not None and absent.code == "type.unknown-field":
            self._typing.tell(absent.as_warning("type.undeclared-field", absent.message))
            self._view = NULL
        self._absent = None

    def _null_finding(self, step: Step, *, always: bool) -> Finding:
        span = self._until(step, whole=False)
        what = self._typing.source[span[0] : span[1]]
        sign = _sign(step)
        if always:
            message = f"{what} is always null, so '{sign}' cannot follow it."
            if self._stopped_short:  # then there is a way on which all is well
                return Finding("type.maybe-null", message, self._until(step), None, "warning")
            never = "The workflow has no triggers: there is nothing to receive." if what == "trigger" else None
            return Finding("type.no-field", message, self._until(step), never)
        hint = f"Write ?{sign} to get null then, or give a default with ??."
        message = f"{what} may be null, and then '{sign}' cannot follow it."
        return Finding("type.maybe-null", message, self._until(step), hint, "warning")

    def _until(self, step: Step, *, whole: bool = True) -> Span:
        """The path up to and with a step, or up to it."""
        if whole:
            return self._chain.span[0], step.span[1]
        before = self._chain.base.span[1]
        for other in self._chain.steps:
            if other is step:
                break
            before = other.span[1]
        return self._chain.span[0], before

    # The step itself

    def _take(self, position: int, step: Step) -> None:
        if isinstance(step, Method):
            given = [(self._view, self._until(step, whole=False))]
            given += [(self._typing.type_of(argument, self._at), argument.span) for argument in step.arguments]
            self._view = returned(self._typing, step.name, given, step.arguments)
            return
        if isinstance(step, Slice):
            for bound in (step.lower, step.upper):
                if bound is not None:
                    wanted = frozenset(("integer", "number", "null"))
                    view = self._typing.type_of(bound, self._at)
                    self._typing.need(view, wanted, bound.span, "A slice takes whole numbers")
            if self._fits(step, _INDEXED, "cannot be sliced"):
                self._view = self._sliced()
            return
        key = constant_key(step)
        if key is None:
            assert isinstance(step, Index)
            self._view = self._dynamic(step)
            return
        fields, self._fields = self._fields, None
        if fields is not None and isinstance(key, str) and key in fields:
            found = fields[key]
            self._view, self._absent, self._null = found.view, found.absent, found.null
            return
        wanted = frozenset(("object",)) if isinstance(key, str) else _INDEXED
        if self._fits(step, wanted, f"has no field '{key}'" if isinstance(key, str) else "cannot be indexed"):
            self._find(step, key)

    def _fits(self, step: Step, wanted: frozenset[str], lack: str) -> bool:
        """Whether the step can be taken from the value's types, and they are known. Tells; raises _Stop when not."""
        kinds = kinds_of(self._view)
        if not is_known(self._view):
            self._view = ANYTHING
            return False
        if kinds <= wanted:
            return True
        span, what = self._until(step), self._typing.source[slice(*self._until(step, whole=False))]
        hint = None
        if isinstance(step, Field):
            if "array" in kinds:
                hint = f"Take one item, such as [0], or each: [x.{step.name} for x in list]."
            elif "string" in kinds:
                hint = "If the text is JSON, write parse_json(text)."
        if kinds & wanted:
            message = f"{what} may be {kinds_in_words(kinds - wanted)}, which {lack}."
            self._typing.tell(Finding("type.maybe-mismatch", message, span, hint, "warning"))
            return True
        message = f"{what} is {a_kind(self._view)}, which {lack}."
        if self._stopped_short or (self._soft and self._absent is not None):
            self._typing.tell(Finding("type.maybe-mismatch", message, span, hint, "warning"))
        else:
            self._typing.tell(Finding("type.no-field", message, span, hint))
        raise _Stop

    def _find(self, step: Step, key: str | int) -> None:
        found = access(self._view, key)
        views = [found.view] if found.presence is not Presence.NEVER else []
        presence = found.presence
        if isinstance(key, int) and "string" in kinds_of(self._view):
            views.append(STRING)
            presence = Presence.MAYBE
        span = self._until(step)
        owner = self._typing.source[slice(*self._until(step, whole=False))]
        before = self._view
        self._view = merged(views) if views else ANYTHING
        if presence is Presence.ALWAYS:
            return
        if isinstance(key, int):
            self._absent = self._no_item(owner, key, presence, span)
        elif presence is Presence.NEVER:
            near = did_you_mean(key, found.known) or self._below(before, owner, key, found.known)
            known = f"Available fields: {', '.join(found.known[:20])}." if found.known else "It has no fields."
            message = f"There is no field '{key}' in {owner}."
            self._absent = Finding("type.unknown-field", message, span, near or known)
        elif presence is Presence.MAYBE:
            sign = f".{key}" if isinstance(step, Field) else "[…]"
            hint = f"Write ?{sign} to get null then, or give a default with ??."
            message = f"The field '{key}' of {owner} may be missing."
            self._absent = Finding("type.maybe-missing", message, span, hint, "warning")
        elif found.known:
            near = did_you_mean(key, found.known) or self._below(before, owner, key, found.known)
            near = near or f"Declared fields: {', '.join(found.known[:20])}."
            message = f"The field '{key}' is not declared in {owner}."
            self._absent = Finding("type.undeclared-field", message, span, near, "warning")

    @staticmethod
    def _below(view: SchemaView, owner: str, key: str, fields: Sequence[str]) -> str | None:
        """Where the field may be instead: inside one of the fields there are."""
        inside = {name: access(view, name).view for name in fields[:_FIELDS_ASKED]}
        for name, field in inside.items():
            found = access(field, key).presence if is_known(field) else Presence.NEVER
            if found in (Presence.ALWAYS, Presence.MAYBE) and access(field, _NO_FIELD).presence is not found:
                return f"Did you mean {owner}.{name}.{key}?"
        unknown = [name for name, field in inside.items() if kinds_of(field) == ALL]
        if len(unknown) == 1 and len(fields) <= _FIELDS_ASKED:
            inside_it = f"If it is inside {unknown[0]}, write {owner}.{unknown[0]}.{key}."
            return f"Available fields: {', '.join(fields)}. {inside_it}"
        return None

    def _no_item(self, owner: str, key: int, presence: Presence, span: Span) -> Finding:
        hint = "For a default, write value[index] ?? default."
        if presence is Presence.NEVER:
            return Finding("type.unknown-field", f"{owner} has no item [{key}].", span, hint)
        return Finding("type.maybe-missing", f"{owner} may have no item [{key}].", span, hint, "warning")

    def _sliced(self) -> SchemaView:
        kinds = kinds_of(self._view)
        parts = [sequence_of(item_of(self._view))] if "array" in kinds else []
        return merged([*parts, STRING] if "string" in kinds else parts)

    def _dynamic(self, step: Index) -> SchemaView:
        index = self._typing.type_of(step.index, self._at)
        if not self._fits(step, _INDEXED | {"object"}, "cannot be indexed"):
            return ANYTHING
        kinds = kinds_of(self._view)
        parts: list[SchemaView] = []
        wanted: set[str] = set()
        if "object" in kinds:
            wanted.add("string")
            parts.append(fields_of(self._view))
        if kinds & _INDEXED:
            wanted |= {"integer", "number"}
            parts += [item_of(self._view)] if "array" in kinds else []
            parts += [STRING] if "string" in kinds else []
        what = "The key of an object is a text" if wanted == {"string"} else "An index is a whole number"
        if wanted == {"string", "integer", "number"}:
            what = "The key of an object is a text, an index a whole number"
        self._typing.need(index, frozenset(wanted), step.index.span, what)
        return merged_some(parts)


def _sign(step: Step) -> str:
    if isinstance(step, Field):
        return f".{step.name}"
    return f".{step.name}(…)" if isinstance(step, Method) else "[…]"
