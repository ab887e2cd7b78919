"""Schemas compiled to closures that answer yes or no; why not is told by `explain.py`, at leisure."""

from __future__ import annotations

from typing import Any, Final

from aicflow.language.schema.containers import array_checks, object_checks
from aicflow.language.schema.document import REFERENCES, Document
from aicflow.language.schema.evaluated import Evaluated
from aicflow.language.schema.model import Schema
from aicflow.language.schema.scalars import Budget, Check, enum_check, number_check, text_check, type_check

KEPT: Final = 100_000


def always(value: Any, budget: Budget) -> bool:
    """The check of `true` and `{}`."""
    return True


def never(value: Any, budget: Budget) -> bool:
    """The check of `false`."""
    return False


class Compiler:
    """The checks of one document's schemas, each compiled once. The document must have passed `check`."""

    def __init__(self, document: Document, *, formats: bool = True) -> None:
        self.document = document
        self._formats = formats
        self._known: dict[int, tuple[Check, Schema]] = {}  # the schema is kept so that its id stays its own
        self._evaluated = Evaluated(self)

    @classmethod
    def of(cls, document: Document, *, formats: bool = True) -> Compiler:
        """The compiler that belongs to a document, made once."""
        name = "checks" if formats else "checks without formats"
        found = document.cache.get(name)
        if not isinstance(found, Compiler):
            found = document.cache[name] = cls(document, formats=formats)
        return found

    def check(self, schema: Schema) -> Check:
        """The compiled check of a schema of this document."""
        if schema is True:
            return always
        if schema is False:
            return never
        known = self._known.get(id(schema))
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()  # schemas are also made from parts of documents that live long
            known = self._known[id(schema)] = (self._compile(schema), schema)
        return known[0]

    def _compile(self, schema: dict[str, Any]) -> Check:
        checks: list[Check] = []
        if "type" in schema:
            checks.append(type_check(schema["type"]))
        if "const" in schema:
            checks.append(enum_check([schema["const"]]))
        if "enum" in schema:
            checks.append(enum_check(schema["enum"]))
        checks.extend(filter(None, (number_check(schema), text_check(schema, formats=self._formats))))
        checks.extend(array_checks(schema, self.check))
        checks.extend(object_checks(schema, self.check))
        checks.extend(self._combined(schema))
        rest = (self._evaluated.fields_check(schema), self._evaluated.items_check(schema))
        checks.extend(filter(None, rest))
        return _all_of(checks)

    def _combined(self, schema: dict[str, Any]) -> list[Check]:
        checks: list[Check] = [self.reference(schema[word]) for word in REFERENCES if word in schema]
        if "allOf" in schema:
            checks.append(_counted(_all_of([self.check(item) for item in schema["allOf"]]), len(schema["allOf"])))
        if "anyOf" in schema:
            checks.append(_any_of([self.check(item) for item in schema["anyOf"]]))
        if "oneOf" in schema:
            checks.append(_one_of([self.check(item) for item in schema["oneOf"]]))
        if "not" in schema:
            refused = self.check(schema["not"])
            checks.append(lambda value, budget: not refused(value, budget))
        if "if" in schema and ("then" in schema or "else" in schema):
            test, then, other = (self.check(schema.get(word, True)) for word in ("if", "then", "else"))
            checks.append(lambda value, budget: then(value, budget) if test(value, budget) else other(value, budget))
        return checks

    def reference(self, ref: str) -> Check:
        """The check of what a reference names, compiled when it is first needed: schemas may contain themselves."""
        target = self.document.resolve(ref)[0]
        compiled: Check | None = None

        def follow(value: Any, budget: Budget) -> bool:
            nonlocal compiled
            budget.left -= 1
            if budget.left < 0:
                budget.exhausted()
            if compiled is None:
                compiled = self.check(target)
            return compiled(value, budget)

        return follow


def _all_of(checks: list[Check]) -> Check:
    if not checks:
        return always
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        one, two = checks
        return lambda value, budget: one(value, budget) and two(value, budget)
    every = tuple(checks)

    def all_fit(value: Any, budget: Budget) -> bool:
        for check in every:  # noqa: SIM110 - a generator would cost as much as the checks
            if not check(value, budget):
                return False
        return True

    return all_fit


def _counted(check: Check, steps: int) -> Check:
    def count(value: Any, budget: Budget) -> bool:
        budget.charge(steps)
        return check(value, budget)

    return count


def _any_of(checks: list[Check]) -> Check:
    every = tuple(checks)

    def any_fits(value: Any, budget: Budget) -> bool:
        for check in every:
            budget.left -= 1
            if budget.left < 0:
                budget.exhausted()
            if check(value, budget):
                return True
        return False

    return any_fits


def _one_of(checks: list[Check]) -> Check:
    every = tuple(checks)

    def one_fits(value: Any, budget: Budget) -> bool:
        found = False
        for check in every:
            budget.left -= 1
            if budget.left < 0:
                budget.exhausted()
            if check(value, budget):
                if found:
                    return False
                found = True
        return found

    return one_fits
