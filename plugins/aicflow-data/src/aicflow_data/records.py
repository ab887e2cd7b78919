"""Node types for lists of records: set, filter, sort, group, dedupe, join."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from aicflow import Code, Context, Issue, Node, Output, Params, PermanentError, json_type
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression
from pydantic import BaseModel, Field, model_validator

type Fields = Annotated[list[str], Field(min_length=1, max_length=20)]
_PATH = "Field of each item, as a path: `customer.city`"
_MISSING = object()


def _at(item: Any, path: str) -> Any:
    """What stands at a path of fields; _MISSING where there is nothing."""
    for name in path.split("."):
        if not isinstance(item, Mapping) or name not in item:
            return _MISSING
        item = item[name]
    return item


def _text(value: Any) -> str:
    """One text for all values that are equal as JSON: 1 and 1.0 are the same number."""
    return json.dumps(_plain(value), sort_keys=True)


def _identity(item: Any, fields: Sequence[str]) -> str:
    """What two items with equal fields have in common."""
    values = [item] if not fields else [None if (value := _at(item, path)) is _MISSING else value for path in fields]
    return _text(values)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


class SetParams(Params):
    """The value, whose parts may be expressions."""

    value: Any = Field(
        description="Any JSON, such as an object of expressions", json_schema_extra={"x-aicflow": {"output": True}}
    )


class Set(Node[SetParams, Any]):
    """Give a name to a value that expressions make, to use it further on.

    The output is the value.
    """

    type_id = "data.set"
    title = "Set"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Context, params: SetParams) -> Any:
        """Return the value."""
        return params.value


class FilterParams(Params):
    """A list, and a condition on its items."""

    items: list[Any]
    where: Code = Field(
        description="Expression over `item` and `vars` that is true for the items to keep", max_length=4_096
    )
    vars: dict[str, Any] = Field(default_factory=dict, description="Values that `where` may use as `vars.NAME`")


class FilterOutput(Output):
    """The items that fit, in their order, and how many did not."""

    items: list[Any]
    dropped: int


class Filter(Node[FilterParams, FilterOutput]):
    """Keep the items of a list for which a condition is true.

    `where` is an expression, written without `${{ }}`: `item.total > vars.least`.
    """

    type_id = "data.filter"
    title = "Filter"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: FilterParams) -> FilterOutput:  # type: ignore[override]
        """Keep what fits."""
        source = f"[item for item in input if ({params.where}\n)]"
        try:
            kept = compile_expression(source).evaluate({"input": params.items, "vars": params.vars})
        except (ExpressionError, EvaluationError) as error:
            raise PermanentError(f"where: {error.message}", pointer="/where", hint=error.hint) from None
        return FilterOutput(items=kept, dropped=len(params.items) - len(kept))

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Whether the condition can be read."""
        where = params.get("where")
        if not isinstance(where, str):
            return ()
        try:
            compile_expression(where)
        except ExpressionError as error:
            return [Issue(error.code, "error", "/where", error.message, error.hint, error.span)]
        return ()


class SortParams(Params):
    """A list, and what to sort it by."""

    items: list[Any]
    by: list[str] = Field(default_factory=list, max_length=20, description=f"{_PATH}; `-` before it sorts downwards")


class ItemsOutput(Output):
    """The items."""

    items: list[Any]


_RANK = {"boolean": 0, "number": 1, "integer": 1, "string": 2, "array": 3, "object": 4}


def _order(value: Any) -> tuple[int, Any]:
    """Where a value comes: numbers before texts; what cannot be compared by its JSON."""
    rank = _RANK[json_type(value)]
    return rank, value if rank < 3 else _text(value)


class Sort(Node[SortParams, ItemsOutput]):
    """Sort a list by fields of its items, or by the items themselves.

    Items that are equal keep their order. Numbers come before texts; items without the field, or with null, come last
    whichever way it is sorted.
    """

    type_id = "data.sort"
    title = "Sort"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: SortParams) -> ItemsOutput:  # type: ignore[override]
        """Sort by the last field first: sorting is stable."""
        items = list(params.items)
        for path in reversed(params.by or [""]):
            down = path.startswith("-")
            values = [(item if not path.lstrip("-") else _at(item, path.lstrip("-")), item) for item in items]
            there = [pair for pair in values if pair[0] is not _MISSING and pair[0] is not None]
            there.sort(key=lambda pair: _order(pair[0]), reverse=down)
            items = [item for _, item in there] + [item for value, item in values if value is _MISSING or value is None]
        return ItemsOutput(items=items)


class Total(BaseModel, extra="forbid", frozen=True):
    """What to work out over the items of a group."""

    field: str = Field(default="", description=f"{_PATH}; not needed to count")
    op: Literal["count", "sum", "min", "max", "mean", "first", "last", "list"]

    @model_validator(mode="after")
    def _has_field(self) -> Total:
        if self.op != "count" and not self.field:
            raise ValueError(f"{self.op} needs a field")
        return self


class GroupParams(Params):
    """A list, the fields that tell groups apart, and what to work out for each."""

    items: list[Any]
    by: Fields = Field(description=_PATH)
    totals: dict[str, Total] = Field(default_factory=dict, description="Name → what to work out")
    keep_items: bool = Field(default=True, description="Whether each group lists its items")


class Group(Output):
    """One group: the values of the fields in `by`, its items, and what was worked out."""

    key: dict[str, Any]
    count: int
    totals: dict[str, Any]
    items: list[Any]


class GroupOutput(Output):
    """The groups, in the order in which they first appear."""

    groups: list[Group]


_TOTALS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "sum": sum,
    "min": lambda values: min(values, key=_order, default=None),
    "max": lambda values: max(values, key=_order, default=None),
    "mean": lambda values: sum(values) / len(values) if values else None,
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "list": list,
}


def _total(name: str, total: Total, items: Sequence[Any]) -> Any:
    if total.op == "count":
        return len(items)
    values = [value for item in items if (value := _at(item, total.field)) is not _MISSING and value is not None]
    if total.op in ("sum", "mean"):
        wrong = next((value for value in values if json_type(value) not in ("number", "integer")), None)
        if wrong is not None:
            raise PermanentError(
                f"totals.{name}: the {total.op} of {total.field} needs numbers, and one is a {json_type(wrong)}.",
                pointer=f"/totals/{name}",
            )
    return _TOTALS[total.op](values)


class GroupBy(Node[GroupParams, GroupOutput]):
    """Group the items of a list by fields, and count, add up or average within each group.

    Null and missing values are left out of what is worked out.
    """

    type_id = "data.group"
    title = "Group"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: GroupParams) -> GroupOutput:  # type: ignore[override]
        """Group, then work out."""
        groups: dict[str, list[Any]] = {}
        for item in params.items:
            groups.setdefault(_identity(item, params.by), []).append(item)
        made = []
        for items in groups.values():
            key = {path: None if (value := _at(items[0], path)) is _MISSING else value for path in params.by}
            totals = {name: _total(name, total, items) for name, total in params.totals.items()}
            made.append(Group(key=key, count=len(items), totals=totals, items=items if params.keep_items else []))
        return GroupOutput(groups=made)


class DedupeParams(Params):
    """A list, and what makes two of its items the same."""

    items: list[Any]
    by: list[str] = Field(
        default_factory=list, max_length=20, description=f"{_PATH}; without any, whole items are compared"
    )
    keep: Literal["first", "last"] = "first"


class Dedupe(Node[DedupeParams, FilterOutput]):
    """Keep one of the items that are the same. The others are dropped; the order stays."""

    type_id = "data.dedupe"
    title = "Remove duplicates"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: DedupeParams) -> FilterOutput:  # type: ignore[override]
        """Keep the first or the last of each."""
        items = params.items if params.keep == "first" else params.items[::-1]
        kept: dict[str, Any] = {}
        for item in items:
            kept.setdefault(_identity(item, params.by), item)
        found = list(kept.values()) if params.keep == "first" else list(kept.values())[::-1]
        return FilterOutput(items=found, dropped=len(items) - len(found))


class JoinParams(Params):
    """Two lists, and the fields in which their items agree."""

    left: list[Any]
    right: list[Any]
    fields: (
        Annotated[list[str], Field(min_length=1, max_length=20)]
        | Annotated[dict[str, str], Field(min_length=1, max_length=20)]
    ) = Field(description="Fields with the same name on both sides, or left field → right field")
    how: Literal["inner", "left", "outer"] = "inner"


class Pair(Output):
    """An item of the left list with one of the right; null where there is none."""

    left: Any
    right: Any


class JoinOutput(Output):
    """The pairs, in the order of the left list; at the end items of the right that fit none."""

    pairs: list[Pair]


_MOST_PAIRS = 1_000_000


class Join(Node[JoinParams, JoinOutput]):
    """Pair the items of two lists whose fields are equal.

    `inner` keeps pairs only, `left` also items of the left list without a partner, `outer` those of both. Items whose
    field is null or missing have no partner.
    """

    type_id = "data.join"
    title = "Join"
    category = "data"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {}

    def run(self, ctx: Context, params: JoinParams) -> JoinOutput:  # type: ignore[override]
        """Look each left item up among the right ones."""
        on = params.fields if isinstance(params.fields, dict) else {name: name for name in params.fields}
        right: dict[str, list[int]] = {}
        for index, item in enumerate(params.right):
            if (key := self._key(item, list(on.values()))) is not None:
                right.setdefault(key, []).append(index)
        pairs: list[Pair] = []
        used: set[int] = set()
        for item in params.left:
            key = self._key(item, list(on))
            found = right.get(key, []) if key is not None else []
            if len(pairs) + len(found) > _MOST_PAIRS:
                raise PermanentError(
                    f"The join gives more than {_MOST_PAIRS:,} pairs.", hint="Join on more fields, or join fewer items."
                )
            used.update(found)
            pairs += [Pair(left=item, right=params.right[index]) for index in found]
            if not found and params.how != "inner":
                pairs.append(Pair(left=item, right=None))
        if params.how == "outer":
            pairs += [Pair(left=None, right=item) for index, item in enumerate(params.right) if index not in used]
        return JoinOutput(pairs=pairs)

    @staticmethod
    def _key(item: Any, fields: Sequence[str]) -> str | None:
        values = [_at(item, path) for path in fields]
        return None if any(value is _MISSING or value is None for value in values) else _text(values)


NODES: list[type[Node[Any, Any]]] = [Set, Filter, Sort, GroupBy, Dedupe, Join]
