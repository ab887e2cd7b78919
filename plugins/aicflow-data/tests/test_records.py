"""Lists of records: kept, sorted, grouped, joined."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import PermanentError
from aicflow.testing import run_node
from aicflow_data.records import Dedupe, Filter, GroupBy, Join, Set, Sort

ORDERS = [
    {"id": 1, "customer": {"city": "Delft"}, "total": 10},
    {"id": 2, "customer": {"city": "Leiden"}, "total": 2.5},
    {"id": 3, "customer": {"city": "Delft"}, "total": None},
    {"id": 4, "customer": {}, "total": 7},
]


async def run(cls: Any, **params: Any) -> Any:
    return await run_node(cls, params)


async def test_set_gives_a_value_a_name() -> None:
    assert await run(Set, value={"a": [1]}) == {"a": [1]}


async def test_filter_keeps_what_fits() -> None:
    output = await run(Filter, items=ORDERS, where="(item.total ?? 0) > vars.least", vars={"least": 5})
    assert [order["id"] for order in output["items"]] == [1, 4]
    assert output["dropped"] == 2


async def test_a_condition_that_does_not_fit_the_data_says_so() -> None:
    with pytest.raises(PermanentError, match="where: "):
        await run(Filter, items=ORDERS, where="item.total > 5")


def test_a_condition_that_cannot_be_read_is_found_before_it_runs() -> None:
    assert [issue.pointer for issue in Filter.check({"where": "item.total >"})] == ["/where"]
    assert Filter.check({"where": "item.total > 5"}) == ()


@pytest.mark.parametrize(
    ("by", "ids"),
    [
        (["total"], [2, 4, 1, 3]),
        (["-total"], [1, 4, 2, 3]),
        (["customer.city", "-id"], [3, 1, 2, 4]),
    ],
)
async def test_sort_puts_what_is_missing_last(by: list[str], ids: list[int]) -> None:
    assert [order["id"] for order in (await run(Sort, items=ORDERS, by=by))["items"]] == ids


async def test_sort_orders_values_of_different_types_in_one_way() -> None:
    values = ["b", 2, None, True, "a", 1.5, [1], {"a": 1}]
    expected = [True, 1.5, 2, "a", "b", [1], {"a": 1}, None]
    assert (await run(Sort, items=values))["items"] == expected


async def test_group_works_out_totals() -> None:
    totals = {
        "sum": {"op": "sum", "field": "total"},
        "orders": {"op": "count"},
        "mean": {"op": "mean", "field": "total"},
        "ids": {"op": "list", "field": "id"},
        "most": {"op": "max", "field": "total"},
    }
    groups = (await run(GroupBy, items=ORDERS, by=["customer.city"], totals=totals, keep_items=False))["groups"]
    assert [group["key"] for group in groups] == [
        {"customer.city": "Delft"}, {"customer.city": "Leiden"}, {"customer.city": None},
    ]  # fmt: skip
    assert groups[0]["totals"] == {"sum": 10, "orders": 2, "mean": 10, "ids": [1, 3], "most": 10}
    assert groups[0]["items"] == []


async def test_adding_texts_is_an_error_that_names_the_total() -> None:
    totals = {"sum": {"op": "sum", "field": "a"}}
    with pytest.raises(PermanentError, match=r"totals\.sum: the sum of a needs numbers, and one is a string"):
        await run(GroupBy, items=[{"a": "1"}], by=["b"], totals=totals)


async def test_dedupe_compares_as_json_does() -> None:
    output = await run(Dedupe, items=[1, 1.0, "1", True, {"a": 1, "b": 2}, {"b": 2, "a": 1}])
    assert output == {"items": [1, "1", True, {"a": 1, "b": 2}], "dropped": 2}
    last = await run(Dedupe, items=ORDERS, by=["customer.city"], keep="last")
    assert [order["id"] for order in last["items"]] == [2, 3, 4]


async def test_join_pairs_what_agrees() -> None:
    cities = [{"name": "Delft", "zip": 26}, {"name": "Gouda", "zip": 28}]
    on = {"customer.city": "name"}

    async def pairs(how: str) -> list[tuple[Any, Any]]:
        output = await run(Join, left=ORDERS, right=cities, fields=on, how=how)
        return [
            (pair["left"] and pair["left"]["id"], pair["right"] and pair["right"]["zip"]) for pair in output["pairs"]
        ]

    assert await pairs("inner") == [(1, 26), (3, 26)]
    assert await pairs("left") == [(1, 26), (2, None), (3, 26), (4, None)]
    assert await pairs("outer") == [(1, 26), (2, None), (3, 26), (4, None), (None, 28)]


async def test_a_join_that_grows_without_bound_is_refused() -> None:
    many = [{"a": 1}] * 1_100
    with pytest.raises(PermanentError, match="more than 1,000,000 pairs"):
        await run(Join, left=many, right=many, fields=["a"])
