"""Python values that JSON has no word for are written in their usual form, or refused with their place; types hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aicflow_sdk import AICFlow, BadRequest, BuildError, Workflow, fn
from aicflow_sdk.messages import encode_json
from sdk_kit import FaultServer, answer


class Colour(str, Enum):  # noqa: UP042 - both ways of writing one are met
    RED = "red"


class Size(Enum):
    LARGE = 3


@dataclass
class Line:
    sku: UUID
    at: datetime
    note: Any = None


ID = UUID("12345678-1234-5678-1234-567812345678")
AT = datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
GIVEN = {"line": Line(ID, AT), "day": date(2027, 1, 2), "at": time(8, 30), "kind": [Colour.RED, Size.LARGE]}
WRITTEN = {
    "line": {"sku": str(ID), "at": "2027-01-02T02:04:05Z", "note": None},
    "day": "2027-01-02",
    "at": "08:30:00",
    "kind": ["red", 3],
}


def test_values_with_a_usual_form_are_written_in_it(faults: FaultServer) -> None:
    wf = Workflow("values", vars=GIVEN)
    wf.http("https://example.com", "send", body={**GIVEN, "line": Line(ID, AT, wf.input.note)})
    wf.output = wf.input.kind == Colour.RED
    document = wf.to_dict()
    assert document["vars"] == WRITTEN
    assert document["nodes"][0]["params"]["body"] == {
        **WRITTEN,
        "line": {**WRITTEN["line"], "note": "${{ input.note }}"},  # type: ignore[dict-item]
    }
    assert document["output"] == '${{ input.kind == "red" }}'
    faults.script.append(answer(400))
    with AICFlow(faults.url, "k") as client, pytest.raises(BadRequest):
        client.executions.start("w", GIVEN)
    assert json.loads(faults.heard[0].body)["input"] == WRITTEN
    assert json.loads(encode_json({ID: 1, 2: 3})) == {str(ID): 1, "2": 3}


class Own:
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Decimal("1.10"), "write str(value), or float(value)"),
        (timedelta(1), "value.total_seconds()"),
        ({1}, "sorted(value)"),
        (b"x", "base64"),
        (datetime(2027, 1, 2), "has no time zone"),
        (Own(), "type Own is not JSON"),
        (float("nan"), "nan is not a JSON number"),
    ],
)
def test_others_are_refused_with_their_place(value: Any, said: str) -> None:
    client = AICFlow("http://127.0.0.1:1", "k")
    for refused, place in (
        (lambda: client.executions.start("w", {"lines": [{"price": value}]}), "input.lines[0].price"),
        (lambda: client.triggers.fire("w:t", [value]), "payload[0]"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            refused()
        assert place in str(caught.value)
        assert said in str(caught.value)
    client.close()
    with pytest.raises(BuildError) as built:
        Workflow("w").http("https://example.com", "send", body={"lines": [value]})
    assert "send: body.lines[0]" in str(built.value)
    assert said in str(built.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with AICFlow("http://127.0.0.1:1", "k") as client, pytest.raises(ValueError, match="contains itself"):
        client.executions.start("w", loop)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda wf: wf.node("wait", "a", retry="x"), "a: retry is a dict, not 'x'"),
        (lambda wf: wf.node("wait", "a", retry=3), "a: retry is a dict, not 3"),
        (lambda wf: wf.node("wait", "a", params="x"), "a: params is a dict"),
        (lambda wf: wf.node("wait", "a", timeout=wf.vars.t), "a: timeout cannot hold an expression"),
        (lambda wf: wf.node("wait", "a", retry={"on": {1}}), "a: retry.on"),
        (lambda wf: wf.add_trigger("trigger.cron", "t", params=[1]), "trigger t: params is a dict"),
        (lambda wf: wf.python("return 1", inputs="x"), "inputs is a dict"),
        (lambda wf: wf.agent("Hello", tools="http.request"), "tools is a list, not 'http.request'"),
        (lambda wf: wf.agent("Hello", tools=[1]), "a tool is a dict, not 1"),
        (lambda wf: wf.switch(cases={"a": 1}), "cases is a list"),
        (lambda wf: setattr(wf, "settings", "fast"), "settings is a dict"),
        (lambda wf: Workflow("w", vars=[1]), "vars is a dict"),  # type: ignore[arg-type]
    ],
)
def test_an_option_of_another_type_is_refused(build: Callable[[Any], object], said: str) -> None:
    with pytest.raises(BuildError) as caught:
        build(Workflow("w"))
    assert said in str(caught.value)


PROGRAM = '''\
from aicflow_sdk import AICFlow, Workflow, expr, fn, when

wf = Workflow("orders", vars={"threshold": 100})


@wf.python(output_schema={"type": "number"})
def add(orders: list[dict[str, float]] = wf.input.orders) -> float:
    """Add up the orders."""
    return sum(order["total"] for order in orders)


@wf.python
def look(
    total: float = add.output,
    count: int = fn.len(wf.input.orders),
    note: str | None = wf.input.maybe.note,
    fee: float = when(wf.input.member, 0, 4.5),
    name: str = expr("input.name"),
    skus: list[str] = fn.each(wf.input.orders, lambda order: order.sku),
) -> str:
    return f"{total + fee} in {count} orders {note or name} {skus}"


big = wf.if_else(add.output > wf.vars.threshold, "big")
add >> big
big.true >> look
[add, big.false] >> wf.wait(seconds=1)
wf.output = look.maybe.output.coalesce("All fine")

with AICFlow("http://127.0.0.1:1", "key") as client:
    saved = client.workflows.deploy(wf)
    assert saved.outcome == "created"
    print(client.executions.run(saved, {"orders": []}).result())
'''


def test_the_idiom_of_the_docs_passes_strict_type_checking(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    tutorial = (Path(__file__).parents[2] / "docs" / "tutorial" / "first-workflow-in-python.md").read_text("utf-8")
    (tmp_path / "orders.py").write_text(tutorial.split("```python file=orders.py\n")[1].split("```")[0], "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, "program.py", "orders.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "Success: no issues found in 2 source files\n"


def test_annotations_are_not_names_from_outside() -> None:
    wf = Workflow("w")

    @wf.python
    def add(lines: list[Line] = wf.input.lines, count: int = fn.len(wf.input.lines)) -> Any:
        return [len(lines), count]

    assert wf["add"].params["code"] == 'lines, count = inputs["lines"], inputs["count"]\nreturn [len(lines), count]\n'
