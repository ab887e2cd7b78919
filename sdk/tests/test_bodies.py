"""Maps, repeats and groups, built in Python: nodes inside a block, what they may refer to, and there and back."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow_sdk import BuildError, Workflow, diff, expr


def _again(document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The document that its Python program builds, and the program."""
    program = Workflow.from_dict(document).to_python()
    scope: dict[str, Any] = {}
    exec(compile(program, "<program>", "exec"), scope)
    return scope["wf"].to_dict(), program


def orders() -> Workflow:
    wf = Workflow("orders")
    fetch = wf.http("https://shop.example/orders", "fetch")
    each = wf.map("each", over=fetch.output.body, as_="order", key=lambda order: order.id, concurrency=20)
    with each as order:
        get = wf.http(f"https://shop.example/orders/{order.id}?n={each.index}", "get")

        @wf.python
        def score(body=get.output.body, shop=fetch.output.status):
            return len(body) + shop

        get >> score
        each.returns({"id": order.id, "score": score.output})
    fetch >> each
    wf.output = each.output.items
    return wf


def test_nodes_added_inside_the_block_stand_in_the_body() -> None:
    document = orders().to_dict()
    assert [node["id"] for node in document["nodes"]] == ["fetch", "each"]
    assert document["edges"] == [{"from": "fetch", "to": "each"}]
    assert document["output"] == "${{ nodes.each.output.items }}"
    each = document["nodes"][1]["map"]
    assert (each["over"], each["as"], each["key"]) == ("${{ nodes.fetch.output.body }}", "order", "${{ order.id }}")
    assert each["concurrency"] == 20
    assert each["nodes"][0]["params"]["url"] == "https://shop.example/orders/${{ order.id }}?n=${{ index }}"
    assert each["nodes"][1]["params"]["inputs"]["shop"] == "${{ nodes.fetch.output.status }}"
    assert each["edges"] == [{"from": "get", "to": "score"}]
    assert each["output"] == {"id": "${{ order.id }}", "score": "${{ nodes.score.output }}"}


def test_repeats_and_groups_and_what_is_inside_of_each_other() -> None:
    wf = Workflow("nested")
    poll = wf.repeat("poll", max=20, delay=5, carry={"status": "new"}, while_=lambda carry: carry.status != "done")
    with poll as carry:
        look = wf.http(f"https://jobs.example/{carry.status}", "look", timeout=10)
        poll.returns(look.output.body)
    with wf.map("rows", over=poll.output.carry.rows, as_="row", on_item_error={"tolerate": {"count": 5}}) as row:
        with wf.map("cells", over=row.cells, as_="cell") as cell:
            wf.node("data.set", "sum", value=cell + row.base)
        with wf.group("order", retry={"max_attempts": 3}, timeout=60) as order:
            reserve = wf.http("https://stock.example", "reserve", method="POST")
            pay = wf.http("https://pay.example", "pay", method="POST")
            reserve >> pay
            order.returns(pay.output.body)
        wf["cells"] >> order
        wf["rows"].returns([wf["cells"].output.items, order.output])
    poll >> wf["rows"]
    document = wf.to_dict()
    assert document["nodes"][0]["repeat"]["while"] == '${{ carry.status != "done" }}'
    rows = document["nodes"][1]["map"]
    assert [node["id"] for node in rows["nodes"]] == ["cells", "order"]
    assert rows["nodes"][1]["retry"] == {"max_attempts": 3}
    assert rows["output"] == ["${{ nodes.cells.output.items }}", "${{ nodes.order.output }}"]
    assert document["edges"] == [{"from": "poll", "to": "rows"}]
    assert wf["sum"].params == {"value": "${{ cell + row.base }}"}
    again, program = _again(document)
    assert again == document, program
    assert "with cells as cell:" in program
    assert 'while_=lambda carry: carry.status != "done"' in program


ODD = {
    "aicflow": 1,
    "name": "odd names",
    "nodes": [
        {"id": "wf", "name": "W", "map": {"over": [1, 2], "as": "class", "key": "${{ class }}", "collect": "none",
            "nodes": [
                {"id": "get", "type": "python.code", "params": {"code": "a = 1\nreturn '''x\n  y'''"}},
                {"id": "last", "type": "x", "params": {"n": "${{ class + index }}", "m": "${{ nodes.get.output }}"}},
            ],
            "output": "${{ nodes.last.output + class }}"}},
        {"id": "other", "map": {"over": "${{ nodes.wf.output.items }}",
            "nodes": [
                {"id": "get_2", "type": "x", "params": {"v": "${{ [i for i in item if i > index] }}"}},
                {"id": "index", "type": "x", "params": {"v": "${{ nodes.get_2.output }}"}},
            ],
            "edges": [{"from": "get_2", "port": "error", "to": "index"}]}},
        {"id": "r", "repeat": {"while": "${{ index < 2 }}", "max": 3, "delay": {"initial": 1, "multiplier": 2},
            "nodes": [{"id": "in_r", "type": "x", "params": {"v": "${{ nodes.wf }}"}}]}},
        {"id": "g", "group": {"concurrency": 2, "nodes": [{"id": "in_g", "type": "x"}]}, "on_error": "continue",
            "output_schema": {"type": "object"}},
    ],
    "edges": [{"from": "wf", "to": "other"}],
}  # fmt: skip


@pytest.mark.parametrize("document", [orders().to_dict(), ODD])
def test_there_and_back(document: dict[str, Any]) -> None:
    assert Workflow.from_dict(document).to_dict() == document
    again, program = _again(document)
    assert again == document, program
    assert not diff(document, again)


def test_what_is_inside_stays_inside() -> None:
    wf = Workflow("borders")
    before, each = wf.http("https://a.example", "before"), wf.map("each", over=[1, 2])
    with each as item:
        get = wf.http(f"https://b.example/{item}", "get")
        with pytest.raises(BuildError, match=r"before to get: get is inside of each"):
            before >> get
        with pytest.raises(BuildError, match=r"The id 'before' is taken"):
            wf.http("https://c.example", "before")
        with pytest.raises(BuildError, match=r"The item of each is called 'item' already"):
            wf.map("inner", over=item)
        with pytest.raises(BuildError, match=r"A trigger cannot stand inside of each"):
            wf.cron("@daily")
        with wf.map("inner", over=item, as_="cell"):
            wf.http(f"https://d.example/{get.output.body}/{item}", "deep")
            with pytest.raises(BuildError, match=r"each.index cannot be used inside of inner"):
                _ = each.index
    with pytest.raises(BuildError, match=r"get is inside of each") as raised:
        _ = get.output
    assert raised.value.hint is not None
    assert "each.output.items" in raised.value.hint
    with pytest.raises(BuildError, match=r"each.item is known only inside of each"):
        _ = each.item
    with pytest.raises(BuildError, match=r"The id 'get' is taken"):
        wf.http("https://e.example", "get")
    with pytest.raises(BuildError, match=r"empty has no nodes"), wf.group("empty"):
        pass
    with pytest.raises(BuildError, match=r"a map has no 'retry'"):
        wf.map("no", over=[], retry={"max_attempts": 2})
    with pytest.raises(BuildError, match=r"'input', which means something else"):
        wf.map("no", over=[], as_="input")
    assert wf.http("https://f.example").id == "http"


def test_a_key_and_a_condition_may_be_expressions() -> None:
    wf = Workflow("rules")
    with wf.map("each", over=expr("input.rows"), as_="row", key=expr("str(row.a) + row.b")) as row:
        wf.node("x", "in_each", v=row)
    with wf.repeat("r", max=2, while_=expr("index < 2")):
        wf.node("x", "in_r", v=wf["r"].index)
    nodes = wf.to_dict()["nodes"]
    assert nodes[0]["map"]["key"] == "${{ str(row.a) + row.b }}"
    assert nodes[1]["repeat"]["while"] == "${{ index < 2 }}"


def test_a_document_with_a_wrong_body_says_where() -> None:
    node = {"id": "e", "map": {"over": [], "nodes": [{"id": "x"}]}}
    for nodes, message in (
        ([node], "/nodes/0/map/nodes/0 has one of type, map, repeat and group"),
        ([{**node, "type": "x"}], "/nodes/0 has one of"),
        ([{"id": "e", "map": {"over": []}}], "/nodes/0/map/nodes is missing"),
        ([{"id": "e", "group": {"over": [], "nodes": []}}], "/nodes/0/group/over is not known there"),
    ):
        with pytest.raises(BuildError, match=message):
            Workflow.from_dict({"aicflow": 1, "name": "x", "nodes": nodes})


def test_a_diagram_shows_bodies_as_boxes() -> None:
    wf = orders()
    wf.cron("@daily", "daily")
    check = wf.if_else(wf["each"].output.succeeded > 0, "big")
    wf["each"] >> check
    check.true >> wf.http("https://mail.example", "mail")
    assert (
        wf.diagram()
        == """\
flowchart TD
    n0["fetch<br/>http.request"]
    subgraph n1["each<br/>for each order of nodes.fetch.output.body"]
        n2["get<br/>http.request"]
        n3["score<br/>python.code"]
        n2 --> n3
    end
    n4{"big<br/>logic.if_else"}
    n5["mail<br/>http.request"]
    n6(["daily<br/>trigger.cron"])
    n6 -.-> n0
    n0 --> n1
    n1 --> n4
    n4 -->|"true"| n5
"""
    )


def test_an_isolated_map_is_said_there_and_back() -> None:
    wf = Workflow("isolated")
    with wf.map("each", over=[1, 2], isolate=True) as item:
        wf.http(f"https://shop.example/{item}", "get")
    document = wf.to_dict()
    assert document["nodes"][0]["map"]["isolate"] is True
    again, program = _again(document)
    assert again == document
    assert "isolate=True" in program
    assert "each in an execution of its own" in wf.diagram()
