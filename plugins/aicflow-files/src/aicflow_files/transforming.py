"""What becomes of the rows between reading and writing: which are kept, and with which columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aicflow import PermanentError, cut
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression

from aicflow_files.tables import Batches, Row, Tally


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of each row: `where` decides over `item`, `select` names the columns to keep, or the new ones by
    an expression over `item`."""

    where: str | None = None
    select: Sequence[str] | Mapping[str, str] | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)

    def source(self) -> str:
        """The expression that makes a list of rows of another one."""
        row = "item"
        if isinstance(self.select, Mapping):
            fields = ", ".join(f"{json.dumps(name)}: ({text}\n)" for name, text in self.select.items())
            row = f"{{{fields}}}"
        condition = f" if ({self.where}\n)" if self.where is not None else ""
        return f"[{row} for item in input{condition}]"


def transformed(columns: list[str], batches: Batches, recipe: Recipe, tally: Tally) -> tuple[list[str], Batches]:
    """The columns and rows that the recipe makes. Raises PermanentError."""
    select = recipe.select
    if select is not None and not isinstance(select, Mapping):
        for name in select:
            if name not in columns:
                raise PermanentError(
                    f"The table has no column {cut(name, 100)!r}.",
                    code="bad-csv",
                    pointer="/select",
                    hint=f"Its columns are: {', '.join(map(repr, columns[:50]))}.",
                )
    wanted = columns if select is None else list(select)
    tally.columns = wanted
    if recipe.where is None and not isinstance(select, Mapping):
        return wanted, batches if select is None else _picked(batches, wanted)
    try:
        evaluate = compile_expression(recipe.source()).evaluate
    except ExpressionError as error:
        raise _in_expression(error, recipe) from None
    return wanted, _evaluated(batches, recipe, evaluate, tally, wanted)


def _picked(batches: Batches, wanted: Sequence[str]) -> Batches:
    for rows in batches:
        yield [{name: row[name] for name in wanted} for row in rows]


def _evaluated(
    batches: Batches, recipe: Recipe, evaluate: Callable[[dict[str, Any]], Any], tally: Tally, wanted: Sequence[str]
) -> Batches:
    names = None if isinstance(recipe.select, Mapping) or recipe.select is None else wanted
    for rows in batches:
        try:
            kept = evaluate({"input": rows, "vars": recipe.vars})
        except EvaluationError as error:
            raise _in_expression(error, recipe, _failing(rows, recipe, evaluate, tally)) from None
        tally.dropped += len(rows) - len(kept)
        yield kept if names is None else [{name: row[name] for name in names} for row in kept]


def _failing(rows: list[Row], recipe: Recipe, evaluate: Callable[[dict[str, Any]], Any], tally: Tally) -> int | None:
    """The number of the first row, from 1, that cannot be worked on."""
    for position, row in enumerate(rows):
        try:
            evaluate({"input": [row], "vars": recipe.vars})
        except EvaluationError:
            return tally.read - len(rows) + position + 1
    return None


def _in_expression(error: ExpressionError | EvaluationError, recipe: Recipe, row: int | None = None) -> PermanentError:
    at = f"Data row {row}: " if row is not None else ""
    pointer = "/where" if not isinstance(recipe.select, Mapping) else None if recipe.where else "/select"
    return PermanentError(f"{at}{error.message}", code="bad-expression", pointer=pointer, hint=error.hint)
