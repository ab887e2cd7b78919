"""Is this a schema that can be used? Its words, its references, and that no value can send it round in circles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError

from aicflow.language.schema.compile import compiled, fits, is_json
from aicflow.language.schema.document import MANY, NAMED, NOT_SCHEMAS, ONE, REFERENCES, Document, RefError, in_place
from aicflow.language.schema.model import Path, Schema, SchemaProblem, pointer, preview, shorten
from aicflow.language.schema.patterns import PatternError, compile_pattern
from aicflow.texts import cut

TYPES: Final = ["array", "boolean", "integer", "null", "number", "object", "string"]
DEPTH_LIMIT: Final = 64  # schemas inside schemas, and schemas applied to one value through references
PATTERNS_LIMIT: Final = 500
PROBLEM_LIMIT: Final = 100

_ANCHOR: Final = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*\Z")
_DIALECTS: Final = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
)


def check(schema: object) -> list[SchemaProblem]:
    """What stops a value from being used as a JSON Schema (draft 2020-12); empty when it can be used.

    Schemas that name an older dialect are read as 2020-12. Refused beside broken words: references outside the document
    (nothing is fetched), `$id` below the root, patterns that cannot be matched in bounded time, schemas nested deeper
    than `DEPTH_LIMIT`, and references that lead back to the same schema for the same value. At most `PROBLEM_LIMIT`.
    """
    checker = _Checker(schema)
    checker.walk()
    if not checker.problems:
        checker.circles()
    if not checker.problems:
        checker.compile()
    return checker.problems[:PROBLEM_LIMIT]


class _Checker:
    def __init__(self, root: Any) -> None:
        self.problems: list[SchemaProblem] = []
        self._root = root
        self._document = Document(root)
        self._seen: dict[int, Schema] = {}
        self._anchors: set[str] = set()
        self._patterns: set[str] = set()
        self._targets: list[tuple[Path, Schema]] = []

    def walk(self) -> None:
        pending: list[tuple[Path, int, Any]] = [((), 0, self._root)]
        while pending or self._targets:
            if pending:
                path, depth, schema = pending.pop()
            else:
                # The target of a reference may stand where no word of JSON Schema puts a schema.
                (path, schema), depth = self._targets.pop(), 0
            if isinstance(schema, bool) or id(schema) in self._seen:
                continue
            if not isinstance(schema, dict):
                self._say(path, f"a schema is an object, true or false, not {preview(schema)}")
                continue
            self._seen[id(schema)] = schema
            if depth > DEPTH_LIMIT:
                self._say(path, f"schemas are nested deeper than {DEPTH_LIMIT} levels")
                continue
            if len(self.problems) >= PROBLEM_LIMIT:
                return
            found = [
                (path + step, depth + 1, child)
                for word, value in schema.items()
                for step, child in self._word(path, word, value)
            ]
            pending.extend(reversed(found))  # so that the document is walked from its top

    def circles(self) -> None:
        """Follow what is applied to one and the same value, without recursion: depth is what is being checked."""
        height: dict[int, int] = {}
        for start in self._seen.values():
            stack: list[tuple[Schema, Iterator[Schema]]] = []
            open_now: set[int] = set()

            def enter(schema: Schema, stack: Any = stack, open_now: set[int] = open_now) -> None:
                if isinstance(schema, dict):
                    open_now.add(id(schema))
                    stack.append((schema, in_place(schema, self._document)))

            if id(start) not in height:
                enter(start)
            while stack:
                schema, rest = stack[-1]
                child = next((item for item in rest if isinstance(item, dict) and id(item) not in height), None)
                if child is None:
                    stack.pop()
                    open_now.discard(id(schema))
                    assert isinstance(schema, dict)
                    below = in_place(schema, self._document)
                    height[id(schema)] = 1 + max((height.get(id(item), 0) for item in below), default=0)
                    if height[id(schema)] > DEPTH_LIMIT:
                        self._say((), f"references and alternatives lead on for more than {DEPTH_LIMIT} steps")
                        return
                elif id(child) in open_now:
                    self._say((), "a reference leads back to its own schema without going into the value: no end")
                    return
                else:
                    enter(child)

    def compile(self) -> None:
        """Let the library say what else it does not accept."""
        try:
            compiled(self._root, True)
        except ValidationError as error:
            self._say(tuple(error.instance_path), error.message)
        except (ValueError, ReferencingError) as error:
            halves = "a text in the schema holds half of a surrogate pair"
            self._say((), halves if "surrogates" in str(error) else str(error))

    def _say(self, path: Path, message: str) -> None:
        self.problems.append(SchemaProblem(pointer(path), shorten(message)))

    def _word(self, path: Path, word: str, value: Any) -> Iterator[tuple[Path, Any]]:
        """Check one keyword; the schemas directly in it come back."""
        here = (*path, word)
        if word in ONE:
            if word == "items" and isinstance(value, list):
                self._say(here, "a list of schemas by position is written prefixItems")
            else:
                yield (word,), value
        elif word in MANY:
            if not isinstance(value, list) or not value:
                self._say(here, f"{word} needs a non-empty list of schemas, not {preview(value)}")
            else:
                yield from (((word, index), item) for index, item in enumerate(value))
        elif word in NAMED:
            if not isinstance(value, dict):
                self._say(here, f"{word} needs an object of schemas, not {preview(value)}")
            else:
                if word == "patternProperties":
                    for pattern in value:
                        self._pattern((*here, pattern), pattern)
                yield from (((word, name), item) for name, item in value.items())
        elif word in _RULES:
            if not fits(_COMPILED[word], value) or (word in NOT_SCHEMAS and not is_json(value)):
                self._say(here, f"{word} needs {_RULES[word][1]}, not {preview(value)}")
            elif word == "pattern":
                self._pattern(here, value)
            elif word in REFERENCES:
                self._reference(here, value)
            elif word in ("$anchor", "$dynamicAnchor"):
                self._anchor(here, value)
            elif word in ("$id", "$schema"):
                self._identity(path, word, value)

    def _pattern(self, path: Path, pattern: str) -> None:
        self._patterns.add(pattern)
        if len(self._patterns) > PATTERNS_LIMIT:
            self._say(path, f"a schema may have at most {PATTERNS_LIMIT} different patterns")
            return
        try:
            compile_pattern(pattern)
        except PatternError as error:
            self._say(path, str(error))

    def _reference(self, path: Path, ref: str) -> None:
        try:
            target, where = self._document.resolve(ref)
        except RefError as error:
            self._say(path, str(error))
        else:
            self._targets.append((where, target))

    def _anchor(self, path: Path, name: str) -> None:
        if _ANCHOR.match(name) is None:
            self._say(path, f"'{cut(name, 80)}' cannot be an anchor: letters, digits, '-', '_' and '.', no digit first")
        if name in self._anchors:
            self._say(path, f"the anchor '{cut(name, 80)}' is defined twice")
        self._anchors.add(name)

    def _identity(self, path: Path, word: str, value: str) -> None:
        if path:
            self._say((*path, word), f"{word} is allowed only at the root: a schema here is one document")
        elif word == "$schema" and value.rstrip("#") not in _DIALECTS:
            self._say((word,), f"'{cut(value, 80)}' is not a dialect that is read here; write {_DIALECTS[0]}")


_COUNT: Final = ({"type": "integer", "minimum": 0}, "a whole number, zero or more")
_BOUND: Final = ({"type": "number"}, "a number")
_FLAG: Final = ({"type": "boolean"}, "true or false")
_TEXT: Final = ({"type": "string"}, "a text")
_NAMES: Final = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
_TYPE: Final = {"enum": TYPES}
_RULES: Final[dict[str, tuple[Schema, str]]] = {
    "type": (
        {"anyOf": [_TYPE, {"type": "array", "items": _TYPE, "minItems": 1, "uniqueItems": True}]},
        "one or several (each once) of " + ", ".join(TYPES),
    ),
    "enum": ({"type": "array"}, "a list of JSON values"),
    "const": (True, "a JSON value"),
    "required": (_NAMES, "a list of field names, each once"),
    "dependentRequired": (
        {"type": "object", "additionalProperties": _NAMES},
        "an object of lists of field names, each once",
    ),
    "multipleOf": ({"type": "number", "exclusiveMinimum": 0}, "a number above zero"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _BOUND),
    **dict.fromkeys(
        (
            *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
            *("minContains", "maxContains"),
        ),
        _COUNT,
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _FLAG),
    **dict.fromkeys(
        (
            *("$id", "$schema", "$ref", "$dynamicRef", "$anchor", "$dynamicAnchor", "$comment"),
            *("title", "description", "format", "pattern", "contentEncoding", "contentMediaType"),
        ),
        _TEXT,
    ),
    "examples": ({"type": "array"}, "a list"),
}
_COMPILED: Final = {word: Draft202012Validator(rule) for word, (rule, _) in _RULES.items()}
