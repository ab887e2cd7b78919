"""Validation and the run time agree on params: what one accepts the other runs, what it refuses the other refuses.

Params keep their JSON types: a text of digits is a text. Types that JSON does not have are read from their JSON form.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import pathlib
import random
import re
import uuid
from decimal import Decimal
from typing import Any, Literal

import pytest
from aicflow.function import node
from aicflow.kernel.errors import ParamsInvalid, WorkflowInvalid
from aicflow.kernel.node import Node, Params
from aicflow.kernel.registry import Registry
from aicflow.language.params import checked_params
from aicflow.language.validation import validate
from aicflow.testing import run_workflow
from pydantic import BaseModel, ConfigDict, create_model


class Color(enum.Enum):
    red = "red"
    two = 2


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int
    when: dt.datetime | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


SCALARS: tuple[Any, ...] = (
    int, float, bool, str, bytes, dt.datetime, dt.date, dt.timedelta, uuid.UUID, Decimal, pathlib.Path, Color, Inner,
    Point, Literal["a", 5], None,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2.0, 1.5, 2**70, "", "a", "0", "1", "true", "red", "2026-01-01T00:00:00Z",
    "2026-01-01", "P1D", "b1946ac9-2492-4d23-8eec-5fbf1d4e2f0a", "1.5", [], [1], ["1"], [1, "a"], [2.0], {},
    {"n": 1}, {"n": "1"}, {"n": 2.0}, {"n": 1, "when": "2026-01-01T00:00:00Z"}, {"n": 1, "o": 2}, {"x": 1},
    {"x": 2.0, "y": 1}, {"x": "1"}, {"a": 1},
)  # fmt: skip


def node_of(annotation: Any) -> type[Node[Any, Any]]:
    made = create_model("Made", __base__=Params, value=(annotation, ...))

    class Made(Node[made, Any]):  # type: ignore[valid-type]
        """A node with one param."""

        type_id = "t.made"

        async def run(self, ctx: Any, params: Any) -> Any:
            return None

    return Made


def refused(cls: type[Node[Any, Any]], value: Any, *, by_reference: bool) -> list[str]:
    """The codes of the errors that validation finds."""
    registry = Registry()
    registry.register(cls)
    given = "${{ vars.v }}" if by_reference else value
    document = {
        "aicflow": 1,
        "name": "t",
        "vars": {"v": value},
        "nodes": [{"id": "a", "type": "t.made", "params": {"value": given}}],
    }
    return [issue.code for issue in validate(document, registry) if issue.severity == "error"]


def runs(cls: type[Node[Any, Any]], value: Any) -> bool:
    try:
        checked_params(cls.params_model, {"value": value})
    except ParamsInvalid:
        return False
    return True


def annotations(seed: int, count: int) -> list[Any]:
    """Types of JSON's and Python's making, nested at random."""
    chance = random.Random(seed)

    def made(depth: int) -> Any:
        shape = chance.choice(("plain", "plain", "list", "dict", "tuple", "optional", "union")) if depth else "plain"
        match shape:
            case "list":
                return list[made(depth - 1)]  # type: ignore[misc]
            case "dict":
                return dict[str, made(depth - 1)]  # type: ignore[misc]
            case "tuple":
                return tuple[made(depth - 1), made(depth - 1)]  # type: ignore[misc]
            case "optional":
                return made(depth - 1) | None
            case "union":
                return made(depth - 1) | made(depth - 1)
        return chance.choice(SCALARS[:-1])

    return [*SCALARS, *(made(3) for _ in range(count))]


def values(seed: int, count: int) -> list[Any]:
    chance = random.Random(seed)

    def made(depth: int) -> Any:
        shape = chance.randrange(4) if depth else 0
        if shape == 2:
            return [made(depth - 1) for _ in range(chance.randrange(4))]
        if shape == 3:
            return {key: made(depth - 1) for key in chance.sample(["n", "x", "y", "a"], chance.randrange(3))}
        return chance.choice(VALUES)

    return [*VALUES, *(made(2) for _ in range(count))]


@pytest.mark.parametrize("seed", range(4))
def test_what_validation_accepts_runs_and_what_it_refuses_does_not(seed):
    for annotation in annotations(seed, 20):
        cls = node_of(annotation)
        for value in values(seed, 15):
            works = runs(cls, value)
            literal, reference = (refused(cls, value, by_reference=way) for way in (False, True))
            told = f"{annotation} {value!r}: runs {works}, literal {literal}, reference {reference}"
            assert works == (not literal), told
            if reference:
                assert not works, told
            elif not works:  # only how a text is formed is not asked of references
                assert has_text(value), told
                assert FORMED.search(str(cls.params_schema())), told


FORMED = re.compile(r"'format'|Decimal|'string', 'pattern'|'number'}, {'type': 'string'")


def has_text(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, str) or any(map(has_text, inside))


async def test_a_text_of_digits_is_no_number_in_a_running_step():
    document = {
        "aicflow": 1,
        "name": "t",
        "nodes": [{"id": "a", "type": "wait", "params": {"seconds": "${{ input.n }}"}}],
    }
    assert (await run_workflow(document, {"n": 0})).status == "succeeded"
    failed = await run_workflow(document, {"n": "0"})
    assert failed.error is not None
    assert (failed.error.code, failed.error.pointer) == ("params-invalid", "/seconds")
    with pytest.raises(WorkflowInvalid):
        await run_workflow({**document, "vars": {"n": "0"}, "nodes": [_seconds("${{ vars.n }}")]})
    with pytest.raises(WorkflowInvalid):
        await run_workflow({**document, "nodes": [_seconds("0")]})


def _seconds(value: Any) -> dict[str, Any]:
    return {"id": "a", "type": "wait", "params": {"seconds": value}}


async def test_authors_may_use_what_python_knows_and_json_does_not():
    @node("t.plan")
    async def plan(at: dt.datetime, key: uuid.UUID, price: Decimal, color: Color, tags: tuple[str, ...], n: int) -> str:
        """Types of Python's own."""
        return f"{at.year} {key.version} {price + 1} {color.name} {tags} {n}"

    given = {"at": "2026-01-01T00:00:00Z", "key": "b1946ac9-2492-4d23-8eec-5fbf1d4e2f0a", "price": "1.50", "n": 2.0}
    params = {**given, "color": "red", "tags": ["a"]}
    document = {
        "aicflow": 1,
        "name": "t",
        "nodes": [{"id": "a", "type": "t.plan", "params": {key: f"${{{{ input.{key} }}}}" for key in params}}],
        "output": "${{ nodes.a.output }}",
    }
    result = await run_workflow(document, params, nodes=[plan])
    assert result.output == "2026 4 2.50 red ('a',) 2", result.error


def test_a_wrong_member_of_a_union_is_told_at_its_place():
    with pytest.raises(ParamsInvalid) as told:
        checked_params(node_of(Inner | Point).params_model, {"value": {"n": "1"}})
    assert told.value.pointer == "/value/n"
    with pytest.raises(ParamsInvalid, match="params/value/n: Field required"):
        checked_params(node_of(Inner | Point).params_model, {"value": {}})
