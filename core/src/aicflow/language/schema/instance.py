"""Does a JSON value fit a JSON Schema? `SchemaValidator`: compiled once, quick to say yes, exact in saying why not.

The JSON Schema is draft 2020-12, whole but for what `check` refuses (see there). Nothing is ever fetched. Formats are
asserted for date-time, date, time, email, uri, uuid, ipv4 and ipv6. `multipleOf` counts in decimal. Values are what
`json` makes: dict with text keys, list, str, int, float, bool, None; nothing else fits, and NaN is not a number.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from aicflow.language.schema.compile import TOO_DEEP, Compiler, ValueBudget
from aicflow.language.schema.document import Document, SchemaView
from aicflow.language.schema.explain import Explainer
from aicflow.language.schema.metacheck import check
from aicflow.language.schema.model import Schema, SchemaError, TooCostly, Violation, preview


class SchemaValidator:
    """Checks values against one schema. Safe to share between threads.

    Takes a schema, or a view of a part of a checked document. Raises `SchemaError` for an unusable schema.
    """

    __slots__ = ("_compiler", "view")

    def __init__(self, schema: Schema | SchemaView, *, formats: bool = True) -> None:
        if isinstance(schema, SchemaView):
            self.view = schema
        else:
            problems = check(schema)
            if problems:
                raise SchemaError(problems)
            self.view = SchemaView(schema, Document(schema))
        self._compiler = Compiler.of(self.view.document, formats=formats)

    def is_valid(self, instance: Any) -> bool:
        """Whether the value fits. A value that cannot be judged in bounded work does not."""
        try:
            return self._compiler.fits(self.view.schema, instance, ValueBudget(instance))
        except (TooCostly, RecursionError):
            return False

    def validate(self, instance: Any, limit: int = 20) -> list[Violation]:
        """What does not fit, at most `limit` of it, in the order of the value; empty when the value fits.

        The work is bounded whatever schema and value are: a value nested too deeply (some hundred levels, as the stack
        allows), or one on which the schema's alternatives take too many steps, is a violation that says so.
        """
        try:
            if self._compiler.fits(self.view.schema, instance, ValueBudget(instance)):
                return []
            explainer = Explainer(self._compiler, ValueBudget(instance))
            found = list(islice(explainer.explain(self.view.schema, instance), max(limit, 1)))
        except TooCostly as costly:
            return [Violation("", "", str(costly), "a value that is simpler to check")]
        except RecursionError:
            return [Violation("", "", TOO_DEEP, "a value of less depth")]
        return found or [Violation("", "", f"{preview(instance)} does not fit the schema", "a value that fits")]
