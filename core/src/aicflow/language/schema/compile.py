"""Schemas compiled by jsonschema-rs, which tells whether a value fits; why not is told by `explain.py`, at leisure.

The library checks in time that is bounded by schema and value as long as the schema, with its references written out,
is small. Where it is large, or contains itself, the depth of the value and the number of references followed are
limited: the library would recurse on the stack, and alternatives that double at every level would never end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from threading import local
from typing import Any, Final
from urllib.parse import urljoin

from jsonschema_rs import Draft202012Validator, RegexOptions, Registry, ValidationErrorKind

from aicflow.language.schema.document import (
    MANY,
    NAMED,
    NOT_SCHEMAS,
    ONE,
    REFERENCES,
    Document,
    SchemaView,
    children,
    in_place,
)
from aicflow.language.schema.model import Schema, TooCostly
from aicflow.language.work import Budget

FORMATS: Final = frozenset(("date", "date-time", "email", "ipv4", "ipv6", "time", "uri", "uuid"))
"""The formats that are asserted. The others only describe."""

VALUE_DEPTH: Final = 500  # levels of a value that are checked against a schema that contains itself
TOO_DEEP: Final = "the value is nested too deeply to be checked"
STEPS: Final = 200_000  # references followed, whatever the size of the value
STEPS_FOR_EACH: Final = 100  # and as many for each part of the value
TOO_LONG: Final = "the value holds an integer of more than 4,300 digits"
_FREE: Final = 2_000  # schemas that may come by writing references out before steps are counted
_KEPT: Final = 10_000
_SMALL: Final = 1_000  # characters of a schema
_TOO_LONG: Final = 10**4_300
_STEP: Final = "aicflow:step"  # the keyword that counts

_OTHER_FORMATS: Final = {
    name: lambda text: True
    for name in (
        *("duration", "hostname", "idn-email", "idn-hostname", "iri", "iri-reference", "json-pointer", "regex"),
        *("relative-json-pointer", "uri-reference", "uri-template"),
    )
}
_LOOKS_INTO: Final = frozenset(("additionalProperties", "items", "prefixItems", "properties"))
_NESTING: Final = frozenset((dict, list))
_UNEVALUATED: Final = frozenset(("unevaluatedItems", "unevaluatedProperties"))
_LOOKS_TWICE: Final = _UNEVALUATED | {"contains", "patternProperties"}
_COUNTS: Final = ("const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
_GOES_ON: Final = frozenset((*ONE, *MANY, *NAMED, *REFERENCES))
_SURROGATES: Final = {code: 0x10F800 + code - 0xD800 for code in range(0xD800, 0xE000)}


class ValueBudget(Budget):
    """How much more work one validation may do. Its limit grows with the value, measured only when needed."""

    __slots__ = ("_extended", "_value")

    def __init__(self, value: Any) -> None:
        super().__init__(STEPS, "the schema takes too many steps on this value")
        self._value = value
        self._extended = False

    def charge(self, units: int = 1) -> None:
        """Count work done. Raises `TooCostly`."""
        self.left -= units
        if self.left < 0 and not self._extended:
            self._extended = True
            self.left = STEPS_FOR_EACH * _size(self._value)
        elif self.left < 0:
            super().charge(0)


class _Running(local):
    budget: ValueBudget


_running: Final = _Running()


class _Step:
    """The keyword that counts: it fails once the budget is spent, and so does every schema that it stands in."""

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:
        pass

    def validate(self, instance: Any) -> None:
        _running.budget.charge()


class Compiler:
    """The compiled schemas of one document, each compiled once. The document must have passed `check`."""

    def __init__(self, document: Document, *, formats: bool) -> None:
        self.document = document
        self._formats = formats
        self._known: dict[
            int, tuple[Draft202012Validator, Schema]
        ] = {}  # keeps the schema, so that its id stays its own
        whole = SchemaView(document.schema, document)
        self._guarded = _unfolds(whole)
        self._counted = self._guarded and not _looks_once(whole)
        self._numeric = _mentions(document.schema, _COUNTS)
        self._registry: Registry | None = None
        self._encode = False

    @classmethod
    def of(cls, document: Document, *, formats: bool = True) -> Compiler:
        """The compiler that belongs to a document, made once."""
        name = "compiled" if formats else "compiled without formats"
        found = document.cache.get(name)
        if not isinstance(found, Compiler):
            found = document.cache[name] = cls(document, formats=formats)
        return found

    def fits(self, schema: Schema, value: Any, budget: ValueBudget) -> bool:
        """Whether a value fits a schema of this document. Raises `TooCostly`."""
        if isinstance(schema, bool):
            return schema
        known = self._known.get(id(schema))
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()  # schemas are also made from parts of documents that live long
            known = self._known[id(schema)] = (self.compile(schema), schema)
        if self._guarded and nested_deeper(value, VALUE_DEPTH):
            raise TooCostly(TOO_DEEP)
        if self._numeric and _has_long_integer(value):
            raise TooCostly(TOO_LONG)  # the library reads it as another number
        _running.budget = budget
        fitting = fits(known[0], encodable(value) if self._encode else value)
        if budget.left < 0:
            budget.charge(0)  # the keyword that counts has failed, and the answer means nothing
        return fitting

    def fits_once(self, schema: Schema, value: Any) -> bool:
        """The same for a schema without references, made up for this one question."""
        validator = self.compile(schema)
        return fits(validator, encodable(value) if self._encode else value)

    def unevaluated(self, schema: dict[str, Any], word: str, value: Any) -> list[str]:
        """The fields that `unevaluatedProperties` refuses, or the items, as JSON, that `unevaluatedItems` refuses."""
        if word not in schema:
            return []
        for error in self.compile(schema).iter_errors(encodable(value)):
            kind = error.kind
            if error.schema_path == [word] and isinstance(
                kind, ValidationErrorKind.UnevaluatedProperties | ValidationErrorKind.UnevaluatedItems
            ):
                return [str(item) for item in kind.unexpected]
        return []

    def compile(self, schema: Schema) -> Draft202012Validator:
        """Compile any schema whose references look into this document. Raises `TooCostly` for constants too deep."""
        try:
            return self._compile(schema)
        except ValueError as error:
            if self._encode:
                raise TooCostly(f"the schema cannot be compiled: {error}") from None
        self._encode = True  # half of a surrogate pair in a constant: values are encoded as the schema is
        return self.compile(encodable(schema))

    def _compile(self, schema: Schema) -> Draft202012Validator:
        if schema is self.document.schema:
            return compiled(_rewritten(schema, "", True) if self._counted else schema, self._formats, None)
        base = ""
        if _mentions(schema, REFERENCES):
            own = self.document.schema.get("$id") if isinstance(self.document.schema, dict) else None
            base = urljoin("json-schema:///", own.partition("#")[0] if isinstance(own, str) else "document")
            if self._registry is None:
                root = self.document.schema
                root = _rewritten(root, "", True) if self._counted else root
                self._registry = Registry([(base, encodable(root) if self._encode else root)])
            schema = _rewritten(schema, base, self._counted)
        return compiled(schema, self._formats, self._registry if base else None)


def fits(validator: Draft202012Validator, value: Any) -> bool:
    """Whether a value fits. What is no JSON fits nothing."""
    try:
        return validator.is_valid(value)
    except ValueError:  # a lone surrogate, or no JSON
        pass
    try:
        return validator.is_valid(encodable(value))
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _single(word: str, setting: str | float) -> Draft202012Validator:
    return compiled({word: setting}, True)


def keyword_fits(word: str, setting: str | float, value: Any) -> bool:
    """Whether a value fits one keyword with a plain setting: a pattern, a divisor, a type."""
    return fits(_single(word, setting), value)


def compiled(schema: Schema, formats: bool, registry: Registry | None = None) -> Draft202012Validator:
    """The library's validator. Equal small schemas are compiled once, for documents are validated again and again."""
    if registry is None:
        try:
            text = json.dumps(schema)
        except (ValueError, TypeError, RecursionError):
            text = ""
        if 0 < len(text) <= _SMALL:
            return _kept(text, formats)
    return _compiled(schema, formats, registry)


@lru_cache(maxsize=1024)
def _kept(text: str, formats: bool) -> Draft202012Validator:
    return _compiled(json.loads(text), formats, None)


def _compiled(schema: Schema, formats: bool, registry: Registry | None) -> Draft202012Validator:
    return Draft202012Validator(
        schema,
        validate_formats=formats,
        formats=_OTHER_FORMATS,
        pattern_options=RegexOptions(),
        registry=registry,
        keywords={_STEP: _Step},
        offline=True,
    )


def is_json(value: Any) -> bool:
    """Whether a value is made of what JSON has. NaN and infinite numbers count as numbers here."""
    pending = [value]
    while pending:
        here = pending.pop()
        if isinstance(here, dict):
            if not all(isinstance(name, str) for name in here):
                return False
            pending.extend(here.values())
        elif isinstance(here, list):
            pending.extend(here)
        elif not (here is None or isinstance(here, str | int | float)):
            return False
    return True


def encodable(value: Any) -> Any:
    """The value with private characters in place of lone surrogates, which have no UTF-8; texts keep their length."""
    if isinstance(value, str):
        return value if value.isascii() else value.translate(_SURROGATES)
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, dict):
        return {encodable(name): encodable(item) for name, item in value.items()}
    return value


def nested_deeper(value: Any, limit: int) -> bool:
    """Whether lists and objects are nested in more than so many levels."""
    level = [value]
    for _ in range(limit + 1):
        found: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                found += [item for item in part.values() if type(item) in _NESTING]
            elif isinstance(part, list):
                found += [item for item in part if type(item) in _NESTING]
        if not found:
            return False
        level = found
    return True


def _size(value: Any) -> int:
    count, pending = 0, [value]
    while pending:
        here = pending.pop()
        count += 1
        if isinstance(here, dict):
            pending.extend(here.values())
        elif isinstance(here, list):
            pending.extend(here)
    return count


def is_leaf(schema: dict[str, Any]) -> bool:
    """Whether there is no other schema in a schema."""
    return _GOES_ON.isdisjoint(schema)


def _unfolds(view: SchemaView) -> bool:
    """Whether there are many more schemas when every reference is written out, or one contains itself."""
    here = 1
    done: dict[int, int] = {}
    open_now: set[int] = set()
    stack: list[tuple[Any, bool]] = [(view.schema, False)]
    while stack:
        schema, finished = stack.pop()
        if id(schema) in done or not isinstance(schema, dict):
            continue
        applied = [child for _, child in children(schema)]
        applied += [view.document.resolve(schema[word])[0] for word in REFERENCES if word in schema]
        here += 0 if finished else len(applied)
        further = [child for child in applied if isinstance(child, dict) and not is_leaf(child)]
        if finished or not further:
            open_now.discard(id(schema))
            repeated = 1 if _UNEVALUATED.isdisjoint(schema) else 2
            done[id(schema)] = 1 + repeated * (
                len(applied) - len(further) + sum(done[id(child)] for child in further if id(child) in done)
            )
            continue
        open_now.add(id(schema))
        stack.append((schema, True))
        for child in further:
            if id(child) in open_now:
                return True
            stack.append((child, False))
    return done.get(id(view.schema), 1) > here + _FREE


def _looks_once(view: SchemaView) -> bool:
    """Whether no part of a value is looked into by two schemas: then the work is linear, references or not."""
    seen: dict[int, Any] = {}
    pending: list[Any] = [view.schema]
    while pending:
        schema = pending.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen[id(schema)] = schema
        beside = list(in_place(schema, view.document))
        looks = sum(isinstance(part, dict) and not is_leaf(part) for part in beside)
        looks += not _LOOKS_INTO.isdisjoint(schema)
        if looks > 1 or not _LOOKS_TWICE.isdisjoint(schema):
            return False
        pending += [*beside, *(child for _, child in children(schema))]
    return True


def _has_long_integer(value: Any) -> bool:
    """Whether an integer in the value has more than 4,300 digits. Of a list or an object Python itself tells quickest:
    it refuses to write one."""
    if type(value) is int:
        return not -_TOO_LONG < value < _TOO_LONG
    if type(value) not in _NESTING:
        return False
    try:
        json.dumps(value)
    except ValueError:
        return True
    except (TypeError, RecursionError):
        pass
    return False


def _mentions(schema: Any, words: Sequence[str]) -> bool:
    pending = [schema]
    while pending:
        here = pending.pop()
        if isinstance(here, dict):
            if any(word in here for word in words):
                return True
            pending.extend(here.values())
        elif isinstance(here, list):
            pending.extend(here)
    return False


def _rewritten(schema: Any, base: str, counted: bool) -> Any:
    """A copy whose references start from `base`, and count."""
    if isinstance(schema, list):
        return [_rewritten(item, base, counted) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    more: list[Any] = []
    for word, value in schema.items():
        if word in REFERENCES and isinstance(value, str):
            ref = base + value if base and value.startswith("#") else value
            if counted:
                more.append({"allOf": [{_STEP: True}, {word: ref}]})
            else:
                made[word] = ref
        elif word in NAMED and isinstance(value, dict):
            made[word] = {name: _rewritten(item, base, counted) for name, item in value.items()}
        else:
            made[word] = value if word in NOT_SCHEMAS else _rewritten(value, base, counted)
    if counted and not _UNEVALUATED.isdisjoint(schema):
        more.append({_STEP: True})
    if more:
        made["allOf"] = [*made.get("allOf", ()), *more]
    return made
