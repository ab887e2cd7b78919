"""Why a value does not fit: one violation for each thing to mend, found keyword by keyword on the schema itself."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from aicflow.language.schema.compile import Compiler, ValueBudget, keyword_fits
from aicflow.language.schema.describe import joined
from aicflow.language.schema.document import REFERENCES
from aicflow.language.schema.model import (
    Path,
    Schema,
    Violation,
    freeze,
    json_kind,
    pointer,
    preview,
    shorten,
)
from aicflow.language.schema.patterns import compile_pattern
from aicflow.texts import cut

type _Found = Iterator[Violation]

_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}
_SCALAR_WORDS: Final = ("const", "enum", *_BOUNDS, "minLength", "maxLength", "pattern", "format")


class Explainer:
    """Walks a schema beside a value that does not fit it. Asks the compiled checks what is worth going into."""

    def __init__(self, compiler: Compiler, budget: ValueBudget) -> None:
        self._compiler = compiler
        self._budget = budget

    def explain(self, schema: Schema, value: Any, at: Path = (), where: Path = ()) -> _Found:
        """The violations of a value at path `at` against the schema at path `where` in its document."""
        self._budget.charge()
        if schema is True:
            return
        if schema is False:
            yield _violation(at, where, "nothing is accepted here", "nothing")
            return
        if not _is_of_type(schema, value):
            types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
            wanted = joined(types)
            kind = json_kind(value)
            got = preview(value) if kind == "null" else f"the {kind} {preview(value)}"
            if kind in ("array", "object"):
                got = preview(value)
            yield _violation(at, (*where, "type"), f"expected {wanted}, got {got}", wanted)
            return  # what else is said of a value of another type is beside the point
        for word, message, expected in self._scalar(schema, value):
            yield _violation(at, (*where, word), message, expected)
        if isinstance(value, list):
            yield from self._array(schema, value, at, where)
        elif isinstance(value, dict):
            yield from self._object(schema, value, at, where)
        yield from self._combined(schema, value, at, where)

    def _fits(self, schema: Schema, value: Any) -> bool:
        return self._compiler.fits(schema, value, self._budget)

    def _scalar(self, schema: dict[str, Any], value: Any) -> Iterator[tuple[str, str, str]]:
        """Keyword, message and what was expected, for what is wrong with a choice, a number or a text."""
        for word in _SCALAR_WORDS:
            if word not in schema or self._compiler.fits_once({word: schema[word]}, value):
                continue
            setting = schema[word]
            if word == "const":
                yield word, f"expected {preview(setting)}, got {preview(value)}", preview(setting)
            elif word == "enum":
                yield word, f"{preview(value)} is not one of {choices(setting)}", f"one of {choices(setting)}"
            elif word in _BOUNDS:
                wanted = f"{_BOUNDS[word]} {preview(setting)}"
                yield word, f"{preview(value)} is not {wanted}", wanted
            elif word == "pattern":
                wanted = f"a text that matches {shorten(setting, 80)}"
                yield word, f"{preview(value)} does not match the pattern {shorten(setting, 80)}", wanted
            elif word == "format":
                yield word, f"{preview(value)} is not a valid {setting}", f"a text of format {setting}"
            else:
                bound = "at least" if word == "minLength" else "at most"
                wanted = f"{bound} {'1 character' if setting == 1 else f'{int(setting)} characters'}"
                yield word, f"expected {wanted}, got {preview(value)} with {len(value)}", wanted

    def _into(self, schema: Schema, value: Any, at: Path, where: Path) -> _Found:
        if not self._fits(schema, value):
            yield from self.explain(schema, value, at, where)

    def _array(self, schema: dict[str, Any], value: list[Any], at: Path, where: Path) -> _Found:
        low, high = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
        if len(value) < low:
            yield _count(at, (*where, "minItems"), "at least", low, "item", len(value))
        if len(value) > high:
            yield _count(at, (*where, "maxItems"), "at most", high, "item", len(value))
        if schema.get("uniqueItems"):
            yield from _repeated(value, at, (*where, "uniqueItems"))
        prefix = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            if index < len(prefix):
                yield from self._into(prefix[index], item, (*at, index), (*where, "prefixItems", index))
            elif "items" in schema:
                yield from self._into(schema["items"], item, (*at, index), (*where, "items"))
            else:
                break
        if "contains" in schema:
            found = sum(self._fits(schema["contains"], item) for item in value)
            low, high = schema.get("minContains", 1), schema.get("maxContains", float("inf"))
            if found < low:
                yield _count(at, (*where, "contains"), "at least", low, "matching item", found)
            if found > high:
                yield _count(at, (*where, "maxContains"), "at most", high, "matching item", found)
        left = self._compiler.unevaluated(schema, "unevaluatedItems", value)
        if left:
            message = f"{len(left)} of {preview(value)} not accepted here: {', '.join(left[:8])}"
            yield _violation(at, (*where, "unevaluatedItems"), message, "fewer items")

    def _object(self, schema: dict[str, Any], value: dict[str, Any], at: Path, where: Path) -> _Found:
        for name in schema.get("required", ()):
            if name not in value:
                yield _missing(name, "", at, (*where, "required"))
        low, high = schema.get("minProperties", 0), schema.get("maxProperties", float("inf"))
        if len(value) < low:
            yield _count(at, (*where, "minProperties"), "at least", low, "field", len(value))
        if len(value) > high:
            yield _count(at, (*where, "maxProperties"), "at most", high, "field", len(value))
        named = schema.get("properties", {})
        patterns = [(key, compile_pattern(key)) for key in schema.get("patternProperties", ())]
        names = schema.get("propertyNames", True)
        for name, item in value.items():
            if not self._fits(names, name):
                for fault in self.explain(names, name, (*at, name), (*where, "propertyNames")):
                    message = f"the name of this field does not fit: {fault.message}"
                    yield Violation(fault.pointer, fault.schema_pointer, shorten(message), fault.expected)
            told = False
            if name in named:
                told = True
                yield from self._into(named[name], item, (*at, name), (*where, "properties", name))
            for key, found in patterns:
                if found(name):
                    told = True
                    rule = schema["patternProperties"][key]
                    yield from self._into(rule, item, (*at, name), (*where, "patternProperties", key))
            if not told and "additionalProperties" in schema:
                place = (*where, "additionalProperties")
                yield from self._other(schema["additionalProperties"], name, item, named, at, place)
        for name, others in schema.get("dependentRequired", {}).items():
            for other in others if name in value else ():
                if other not in value:
                    yield _missing(other, f" beside '{cut(name, 40)}'", at, (*where, "dependentRequired", name))
        for name, rule in schema.get("dependentSchemas", {}).items():
            if name in value:
                yield from self._into(rule, value, at, (*where, "dependentSchemas", name))
        if "unevaluatedProperties" in schema:
            place = (*where, "unevaluatedProperties")
            for name in self._compiler.unevaluated(schema, "unevaluatedProperties", value):
                rest = schema["unevaluatedProperties"]
                yield from self._other(rest, name, value[name], named, at, place)

    def _other(self, rule: Schema, name: str, item: Any, named: dict[str, Any], at: Path, where: Path) -> _Found:
        if rule is not False:
            yield from self._into(rule, item, (*at, name), where)
            return
        known = [other for other in list(named)[:200] if len(other) <= 80]
        near = get_close_matches(name[:80], known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        expected = f"only {joined([repr(other) for other in known[:8]], 'and')}" if known else "no other field"
        yield _violation((*at, name), where, f"unknown field '{cut(name, 60)}'{hint}", expected)

    def _combined(self, schema: dict[str, Any], value: Any, at: Path, where: Path) -> _Found:
        for word in REFERENCES:
            if word in schema:
                target, place = self._compiler.document.resolve(schema[word])
                yield from self._into(target, value, at, place)
        for index, branch in enumerate(schema.get("allOf", ())):
            yield from self._into(branch, value, at, (*where, "allOf", index))
        if "anyOf" in schema and not any(self._fits(branch, value) for branch in schema["anyOf"]):
            yield from self._alternatives(schema["anyOf"], value, at, (*where, "anyOf"))
        if "oneOf" in schema:
            fitting = sum(self._fits(branch, value) for branch in schema["oneOf"])
            if not fitting:
                yield from self._alternatives(schema["oneOf"], value, at, (*where, "oneOf"))
            elif fitting > 1:
                message = f"{preview(value)} fits {fitting} of the alternatives, and must fit exactly one"
                yield _violation(at, (*where, "oneOf"), message, "exactly one of the alternatives")
        if "not" in schema and self._fits(schema["not"], value):
            yield _violation(
                at, (*where, "not"), f"{preview(value)} is one of the values refused here", "another value"
            )
        if "if" in schema:
            word = "then" if self._fits(schema["if"], value) else "else"
            if word in schema:
                yield from self._into(schema[word], value, at, (*where, word))

    def _alternatives(self, branches: list[Schema], value: Any, at: Path, where: Path) -> _Found:
        """When one alternative is plainly the one that was meant, its violations; else what the alternatives are."""
        meant = [(index, branch) for index, branch in enumerate(branches) if self._is_about(branch, value)]
        if len(meant) == 1:
            index, branch = meant[0]
            yield from self.explain(branch, value, at, (*where, index))
            return
        wanted = [self._label(branch) for branch in branches[:8]]
        expected = shorten(joined(list(dict.fromkeys(wanted))) + (" …" if len(branches) > 8 else ""), 120)
        message = f"{preview(value)} fits none of the {len(branches)} alternatives: {expected}"
        yield _violation(at, where, message, expected)

    def _target(self, schema: Schema) -> Schema:
        while isinstance(schema, dict) and "$ref" in schema and "type" not in schema:
            schema = self._compiler.document.resolve(schema["$ref"])[0]
        return schema

    def _is_about(self, schema: Schema, value: Any) -> bool:
        """Whether the alternative is for values of this type, with the same constant fields (a tag)."""
        schema = self._target(schema)
        if isinstance(schema, bool):
            return False
        if not _is_of_type(schema, value):
            return False
        if "const" in schema or "enum" in schema:
            return False
        if isinstance(value, dict):
            for name, rule in schema.get("properties", {}).items():
                if isinstance(rule, dict) and name in value and {"const", "enum"} & rule.keys():
                    told = [rule["const"]] if "const" in rule else rule["enum"]
                    if freeze(value[name]) not in set(map(freeze, told)):
                        return False
        return True

    def _label(self, schema: Schema) -> str:
        schema = self._target(schema)
        if isinstance(schema, bool):
            return "anything" if schema else "nothing"
        if "const" in schema:
            return preview(schema["const"])
        if "enum" in schema:
            return choices(schema["enum"])
        if isinstance(schema.get("title"), str):
            return cut(str(schema["title"]), 40)
        types = schema.get("type")
        if types is None:
            return "something else"
        return joined([types] if isinstance(types, str) else types)


def _is_of_type(schema: dict[str, Any], value: Any) -> bool:
    types = schema.get("type", [])
    return types == [] or any(
        keyword_fits("type", name, value) for name in ([types] if isinstance(types, str) else types)
    )


def choices(values: list[Any]) -> str:
    """The first few of an enum's values."""
    shown = [preview(value) for value in values[:8]]
    if len(values) > 8:
        return shorten(f"{', '.join(shown)} … ({len(values)} values)", 120)
    return shorten(joined(shown), 120) or "no value"


def _violation(at: Path, where: Path, message: str, expected: str) -> Violation:
    return Violation(pointer(at), pointer(where), shorten(message), shorten(expected, 120))


def _missing(name: str, beside: str, at: Path, where: Path) -> Violation:
    return _violation(at, where, f"the field '{cut(name, 60)}' is missing{beside}", f"the field '{cut(name, 60)}'")


def _count(at: Path, where: Path, bound: str, limit: float, noun: str, found: int) -> Violation:
    wanted = f"{bound} {int(limit)} {noun}{'' if limit == 1 else 's'}"
    return _violation(at, where, f"expected {wanted}, got {found}", wanted)


def _repeated(value: list[Any], at: Path, where: Path) -> _Found:
    first: dict[Any, int] = {}
    for index, item in enumerate(value):
        before = first.setdefault(freeze(item), index)
        if before != index:
            message = f"items {before} and {index} are the same: {preview(item)}"
            yield _violation(at, where, message, "items that all differ")
            return
