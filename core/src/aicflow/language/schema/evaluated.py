"""unevaluatedProperties and unevaluatedItems: which parts of a value did the rest of the schema look at?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aicflow.language.schema.document import REFERENCES
from aicflow.language.schema.model import Schema
from aicflow.language.schema.patterns import compile_pattern
from aicflow.language.schema.scalars import Budget, Check

if TYPE_CHECKING:
    from aicflow.language.schema.compile import Compiler


class Evaluated:
    """Finds what is left over for the unevaluated… keywords of one document's schemas."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler

    def fields_check(self, schema: dict[str, Any]) -> Check | None:
        if schema.get("unevaluatedProperties", True) is True:
            return None
        rest = self._compiler.check(schema["unevaluatedProperties"])

        def check(value: Any, budget: Budget) -> bool:
            if not isinstance(value, dict):
                return True
            return all(rest(value[name], budget) for name in self.other_fields(schema, value, budget))

        return check

    def items_check(self, schema: dict[str, Any]) -> Check | None:
        if schema.get("unevaluatedItems", True) is True:
            return None
        rest = self._compiler.check(schema["unevaluatedItems"])

        def check(value: Any, budget: Budget) -> bool:
            if not isinstance(value, list):
                return True
            return all(rest(value[index], budget) for index in self.other_items(schema, value, budget))

        return check

    def other_fields(self, schema: dict[str, Any], value: dict[str, Any], budget: Budget) -> list[str]:
        """The names that nothing in the schema but unevaluatedProperties looked at."""
        seen: set[str] = set()
        self._fields(schema, value, budget, seen, own=False)
        return [name for name in value if name not in seen]

    def other_items(self, schema: dict[str, Any], value: list[Any], budget: Budget) -> list[int]:
        """The positions that nothing in the schema but unevaluatedItems looked at."""
        seen: set[int] = set()
        self._items(schema, value, budget, seen, own=False)
        return [index for index in range(len(value)) if index not in seen]

    def _fields(
        self, schema: Schema, value: dict[str, Any], budget: Budget, seen: set[str], *, own: bool = True
    ) -> None:
        if isinstance(schema, bool):
            return
        if "additionalProperties" in schema or (own and "unevaluatedProperties" in schema):
            seen.update(value)
            return
        seen.update(name for name in schema.get("properties", ()) if name in value)
        for pattern in schema.get("patternProperties", ()):
            found = compile_pattern(pattern)
            seen.update(name for name in value if found(name))
        for branch in self._taken(schema, value, budget):
            self._fields(branch, value, budget, seen)

    def _items(self, schema: Schema, value: list[Any], budget: Budget, seen: set[int], *, own: bool = True) -> None:
        if isinstance(schema, bool):
            return
        if "items" in schema or (own and "unevaluatedItems" in schema):
            seen.update(range(len(value)))
            return
        seen.update(range(min(len(schema.get("prefixItems", ())), len(value))))
        if "contains" in schema:
            found = self._compiler.check(schema["contains"])
            seen.update(index for index, item in enumerate(value) if found(item, budget))
        for branch in self._taken(schema, value, budget):
            self._items(branch, value, budget, seen)

    def _taken(self, schema: dict[str, Any], value: Any, budget: Budget) -> Iterator[Schema]:
        """The schemas applied to the same value that it fits: only those count."""
        budget.left -= 1
        if budget.left < 0:
            budget.exhausted()
        for word in REFERENCES:
            if word in schema:
                yield self._compiler.document.resolve(schema[word])[0]
        yield from schema.get("allOf", ())
        for word in ("anyOf", "oneOf"):
            for branch in schema.get(word, ()):
                if self._compiler.check(branch)(value, budget):
                    yield branch
        if "if" in schema:
            if self._compiler.check(schema["if"])(value, budget):
                yield schema["if"]
                yield schema.get("then", True)
            else:
                yield schema.get("else", True)
        if isinstance(value, dict):
            for name, branch in schema.get("dependentSchemas", {}).items():
                if name in value:
                    yield branch
