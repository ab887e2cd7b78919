"""Nodes with a body: what is inside is checked like a document, with the types of items, carries and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from aicflow.engine import builtins
from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.node import Node, Params
from aicflow.kernel.registry import Registry
from aicflow.language.plan import build_plan
from aicflow.language.validation import Limits, validate
from pydantic import Field

ORDERS = {
    "type": "object",
    "properties": {
        "orders": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "score": {"type": "number"},
                    "note": {"type": ["string", "null"]},
                },
                "required": ["id", "score", "note"],
                "additionalProperties": False,
            },
        },
        "mixed": {"type": ["array", "null"], "items": {"type": "integer"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "count": {"type": "integer"},
    },
    "required": ["orders", "mixed", "rows", "count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def bodies(registry: Registry) -> Registry:
    for cls in (builtins.MapNode, builtins.RepeatNode, builtins.GroupNode, builtins.WaitNode, Same):
        registry.register(cls)
    return registry


def arrow(text: str) -> dict[str, str]:
    """`a > b`, or `a.port > b`."""
    source, target = text.split(" > ")
    return {"from": source.split(".")[0], "port": [*source.split("."), "main"][1], "to": target}


@pytest.fixture
def found(bodies: Registry) -> Any:
    """The issues of a document as `severity code pointer`; it also makes a plan of every document without errors."""

    def check(*nodes: dict[str, Any], edges: Any = (), limits: Limits | None = None, **parts: Any) -> list[str]:
        arrows = [arrow(edge) for edge in edges]
        document = {"aicflow": 1, "name": "t", "input_schema": ORDERS, "nodes": list(nodes), "edges": arrows, **parts}
        check.issues = validate(document, bodies, limits=limits)  # type: ignore[attr-defined]
        if not any(issue.severity == "error" for issue in check.issues):  # type: ignore[attr-defined]
            build_plan(WorkflowDocument.model_validate(document), bodies)
        return [f"{issue.severity} {issue.code} {issue.pointer}" for issue in check.issues]  # type: ignore[attr-defined]

    return check


def each(*nodes: dict[str, Any], over: Any = "${{ input.orders }}", name: str = "each", **more: Any) -> dict[str, Any]:
    return {"id": name, "map": {"over": over, "nodes": list(nodes), **more}}


def take(name: str, **params: Any) -> dict[str, Any]:
    return {"id": name, "type": "t.take", "params": params}


def loop(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "r", "repeat": {"max": 9, "while": "${{ index < 3 }}", "nodes": list(nodes), **more}}


# What is inside is checked like a document


@pytest.mark.parametrize(
    ("inner", "issue"),
    [
        ({"id": "a", "type": "t.nope"}, "error node.unknown-type /nodes/0/map/nodes/0/type"),
        ({"id": "a-b", "type": "t.any"}, "error node.bad-id /nodes/0/map/nodes/0/id"),
        ({"id": "a", "type": "t.any", "retyr": {}}, "error doc.schema /nodes/0/map/nodes/0/retyr"),
        ({"id": "a", "type": "t.add"}, "error param.missing /nodes/0/map/nodes/0"),
        (take("a", flag="yes"), "error param.type /nodes/0/map/nodes/0/params/flag"),
        (take("a", txet=""), "error param.unknown /nodes/0/map/nodes/0/params/txet"),
        (take("a", value="${{ 1 + }}"), "error expr.syntax /nodes/0/map/nodes/0/params/value"),
        (take("a", value="${{ nodes.nope.output }}"), "error ref.unknown-node /nodes/0/map/nodes/0/params/value"),
        (take("a", value="${{ itme }}"), "error ref.unknown-name /nodes/0/map/nodes/0/params/value"),
        (take("a", value="${{ nodes.a.output }}"), "error ref.self /nodes/0/map/nodes/0/params/value"),
        (take("a") | {"output_schema": {"type": 3}}, "error doc.schema /nodes/0/map/nodes/0/output_schema/type"),
        (
            {"id": "a", "type": "t.any", "retry": {"on": ["any-brokne"]}},
            "error node.unknown-error /nodes/0/map/nodes/0/retry/on/0",
        ),
        (take("a") | {"run": "always"}, "error doc.schema /nodes/0/map/nodes/0/run"),
    ],
)
def test_a_node_inside_is_checked_like_any_other(found: Any, inner: dict[str, Any], issue: str) -> None:
    assert issue in found(each(inner))


def test_one_wrong_entry_inside_hides_no_other(found: Any) -> None:
    assert found(each({"id": "a"}, take("b", text="${{ item.idd }}"))) == [
        "error doc.schema /nodes/0/map/nodes/0",
        "error type.unknown-field /nodes/0/map/nodes/1/params/text",
    ]


def test_a_cycle_inside_is_found(found: Any) -> None:
    edges = [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]
    assert found(each(take("a"), take("b"), edges=edges)) == ["error graph.cycle /nodes/0/map/edges/1"]


def test_an_unknown_key_of_a_node_inside_gets_the_keys_that_there_are(found: Any) -> None:
    found(each(take("a") | {"retry": {"atempts": 3, "max_atempts": 3}}))
    assert [issue.hint for issue in found.issues][1] == "Did you mean 'max_attempts'?"


def test_nodes_inside_count_as_nodes_of_the_document(found: Any) -> None:
    many = [take(f"n{i}") for i in range(5)]
    assert found(each(*many), take("z"), limits=Limits(nodes=5)) == ["error doc.too-large /nodes"]


def test_a_misspelt_item_is_told_its_name(found: Any) -> None:
    found(each(take("a", value="${{ ordr.id }}"), **{"as": "order"}))
    assert found.issues[0].hint == "Did you mean 'order'?"
    found(each(take("a", value="${{ zzz }}"), **{"as": "order"}))
    assert found.issues[0].hint.endswith("execution, order, index.")


# Borders


def test_ids_are_one_scope(found: Any) -> None:
    inner = each(take("a"), over=[1], name="one")
    assert found(take("a"), inner) == ["error node.duplicate-id /nodes/1/map/nodes/0/id"]
    assert found(inner, each(take("a"), over=[1], name="two")) == ["error node.duplicate-id /nodes/1/map/nodes/0/id"]


def test_edges_do_not_cross_the_border(found: Any) -> None:
    assert found(take("z"), each(take("a"), edges=[{"from": "z", "to": "a"}])) == [
        "error edge.unknown-node /nodes/1/map/edges/0/from"
    ]
    assert found(take("z"), each(take("a")), edges=["z > a"]) == ["error edge.unknown-node /edges/0/to"]
    assert found.issues[0].hint == "Lead the edge to 'each' itself."


def test_what_is_inside_is_not_read_from_outside(found: Any) -> None:
    assert found(each(take("a")), take("z", value="${{ nodes.a.output }}"), edges=["each > z"]) == [
        "error ref.inside-map /nodes/1/params/value"
    ]
    assert found.issues[0].hint == "Read nodes.each.output.items[*]: what its body gives."


def test_what_is_inside_is_not_read_from_another_body(found: Any) -> None:
    one, two = each(take("a")), each(take("b", value="${{ nodes.a.output }}"), name="two")
    assert found(one, two, edges=["each > two"]) == ["error ref.inside-map /nodes/1/map/nodes/0/params/value"]


def test_inside_reads_what_is_before_the_map(found: Any) -> None:
    first = {"id": "first", "type": "t.fetch"}
    inner = each(take("a", text="${{ nodes.first.output.statsu }}"))
    assert found(first, inner, edges=["first > each"]) == ["error type.unknown-field /nodes/1/map/nodes/0/params/text"]
    assert found(first, inner) == ["error ref.not-upstream /nodes/1/map/nodes/0/params/text"]
    assert found(inner, first, edges=["each > first"]) == ["error ref.downstream /nodes/0/map/nodes/0/params/text"]


def test_path_conditions_around_the_map_hold_inside(found: Any) -> None:
    gate = {"id": "gate", "type": "t.if", "params": {"condition": True}}
    inner = each(take("a", text="${{ nodes.yes.output.status }}"))
    yes = {"id": "yes", "type": "t.fetch"}
    edges = ["gate.true > yes", "yes > each", "gate.false > each"]
    assert found(gate, yes, inner, edges=edges) == ["error ref.not-on-every-path /nodes/2/map/nodes/0/params/text"]
    assert found(gate, yes, inner, edges=edges[:2]) == []


def test_a_map_does_not_read_itself(found: Any) -> None:
    assert found(each(take("a", value="${{ nodes.each.output }}"))) == [
        "error ref.self /nodes/0/map/nodes/0/params/value"
    ]


# Types of items and results


def test_the_item_has_the_type_of_the_list_s_items(found: Any) -> None:
    assert found(each(take("a", text="${{ item.id }}", number="${{ item.score + index }}"))) == []
    assert found(each(take("a", number="${{ order.scoer }}"), **{"as": "order"})) == [
        "error type.unknown-field /nodes/0/map/nodes/0/params/number"
    ]
    assert found.issues[0].hint == "Did you mean 'score'?"
    assert found(each(take("a", text="${{ item.note }}"))) == [
        "warning type.maybe-null /nodes/0/map/nodes/0/params/text"
    ]
    assert found(each(take("a", number="${{ item.id }}"))) == ["error type.mismatch /nodes/0/map/nodes/0/params/number"]


def test_a_batch_is_a_list_of_items(found: Any) -> None:
    assert found(each(take("a", texts="${{ [one.id for one in item] }}"), batch=5)) == []
    assert found(each(take("a", text="${{ item.id }}"), batch=5)) == [
        "error type.no-field /nodes/0/map/nodes/0/params/text"
    ]


def test_the_list_must_be_one(found: Any) -> None:
    assert found(each(take("a"), over="${{ input.count }}")) == ["error type.mismatch /nodes/0/map/over"]
    assert found(each(take("a"), over="${{ input.mixed }}")) == ["warning type.maybe-null /nodes/0/map/over"]
    assert found(each(take("a"), over="${{ input.mixed ?? [] }}")) == []
    assert found(each(take("a"), over="orders")) == ["error param.type /nodes/0/map/over"]
    assert found(each(take("a"), over=[])) == ["warning param.invalid /nodes/0/map/over"]
    assert found(each(take("a"), over=[1, 2, 3], max_items=2)) == ["error param.invalid /nodes/0/map/over"]


def test_items_written_down_have_their_own_types(found: Any) -> None:
    assert found(each(take("a", number="${{ item.n }}"), over=[{"n": 1}, {"n": "${{ input.count }}"}])) == []
    assert found(each(take("a", number="${{ item.m }}"), over=[{"n": 1}, {"n": "${{ input.count }}"}])) == [
        "error type.unknown-field /nodes/0/map/nodes/0/params/number"
    ]


def after(read: str, **more: Any) -> list[Any]:
    """A map of orders, and a node after it that takes `read` as a text."""
    output = {"id": "${{ item.id }}", "score": "${{ item.score }}"}
    return [each(take("a"), output=output, **more), take("z", text=read)]


@pytest.mark.parametrize(
    ("read", "more", "issue"),
    [
        ("nodes.each.output.items[0]?.id ?? ''", {}, None),
        ("nodes.each.output.items[0]?.di ?? ''", {}, "warning type.undeclared-field"),
        ("nodes.each.output.items[0]?.score ?? 0", {}, "error type.mismatch"),
        ("nodes.each.output.itmes", {}, "error type.unknown-field"),
        ("[one.id for one in nodes.each.output.items].join(', ')", {}, None),
        (
            "[one.id for one in nodes.each.output.items].join(', ')",
            {"on_item_error": "continue"},
            "warning type.maybe-null",
        ),
        ("[one?.id ?? '' for one in nodes.each.output.items].join(', ')", {"on_item_error": "continue"}, None),
        ("str(nodes.each.output.succeeded) + '/' + str(nodes.each.output.count)", {}, None),
        ("nodes.each.output.failed[0]?.error.message ?? ''", {"on_item_error": {"tolerate": {"count": 1}}}, None),
        (
            "nodes.each.output.failed[0]?.error.mesage ?? ''",
            {"on_item_error": {"tolerate": {"count": 1}}},
            "warning type.undeclared-field",
        ),
        ("nodes.each.output.failed[0].error.message", {}, "error type.unknown-field"),
        ("nodes.each.output.items[0].id", {"collect": "none"}, "error type.unknown-field"),
        ("nodes.each.output.items[0]?.id ?? ''", {"collect": "last"}, None),
    ],
)
def test_the_result_of_a_map_has_a_type(found: Any, read: str, more: dict[str, Any], issue: str | None) -> None:
    read = "${{ " + read + " }}"
    assert found(*after(read, **more), edges=["each > z"]) == (
        [] if issue is None else [f"{issue} /nodes/1/params/text"]
    )


def test_without_output_the_last_node_is_the_result(found: Any) -> None:
    def reads(read: str, *inner: Any, edges: list[str]) -> list[str]:
        body = {"nodes": list(inner), "edges": [arrow(edge) for edge in edges]}
        group = {"id": "g", "group": body}
        return [issue.split(" /")[0] for issue in found(group, take("z", text=read), edges=["g > z"])]

    fetch = {"id": "f", "type": "t.fetch"}
    gate = {"id": "i", "type": "t.if", "params": {"condition": "${{ input.count > 1 }}"}}
    add = {"id": "n", "type": "t.add", "params": {"n": 1}}
    assert reads("${{ nodes.g.output }}", take("a"), add, edges=["a > n"]) == ["error type.mismatch"]
    assert reads("${{ nodes.g.output.status }}", add, fetch, edges=["n > f"]) == []
    assert reads("${{ nodes.g.output.f.status }}", add, fetch, edges=[]) == []  # each by its id
    assert (
        reads("${{ nodes.g.output.statsu }}", gate, fetch, edges=["i.true > f"]) == []
    )  # not known: either may be last
    both = ["i.true > f", "i.false > n"]
    assert reads("${{ nodes.g.output }}", gate, {"id": "f", "type": "t.add", "params": {"n": 2}}, add, edges=both) == [
        "error type.mismatch"
    ]


def test_the_key_is_made_of_the_item(found: Any) -> None:
    assert found(each(take("a"), key="${{ item.id }}")) == []
    assert found(each(take("a"), key="${{ item }}")) == ["error type.mismatch /nodes/0/map/key"]
    assert found(each(take("a"), key="${{ item.note }}")) == ["warning type.maybe-null /nodes/0/map/key"]
    assert found(each(take("a"), key="${{ nodes.a.output }}")) == ["error ref.inside-map /nodes/0/map/key"]
    assert found(each(take("a"), key="same")) == ["error param.invalid /nodes/0/map/key"]


@pytest.mark.parametrize("name", ["input", "index", "carry", "len", "for", "a-b"])
def test_an_item_s_name_is_one_that_expressions_can_say(found: Any, name: str) -> None:
    assert found(each(take("a"), **{"as": name})) == ["error node.bad-id /nodes/0/map/as"]


@pytest.mark.parametrize("name", ["input", "trigger", "vars", "nodes", "execution", "index"])
def test_an_item_s_name_that_hides_another_is_told_once(found: Any, name: str) -> None:
    inside = {"id": "a", "type": "t.any", "params": {"value": f"${{{{ {name}.score }}}}"}}
    assert found(each(inside, **{"as": name})) == ["error node.bad-id /nodes/0/map/as"]


# Nesting


def test_bodies_inside_of_bodies_see_the_items_around_them(found: Any) -> None:
    cells = each(take("a", number="${{ cell + row[0] }}"), over="${{ row }}", name="cells", **{"as": "cell"})
    rows = each(cells, over="${{ input.rows }}", name="rows", output="${{ nodes.cells.output.items }}", **{"as": "row"})
    assert found(rows) == ["warning type.maybe-missing /nodes/0/map/nodes/0/map/nodes/0/params/number"]
    wrong = each(take("a", number="${{ cell.x }}"), over="${{ row }}", name="cells", **{"as": "cell"})
    assert found({**rows, "map": {**rows["map"], "nodes": [wrong]}}) == [
        "error type.no-field /nodes/0/map/nodes/0/map/nodes/0/params/number"
    ]


def test_bodies_are_nested_three_deep_at_most(found: Any) -> None:
    node = take("a")
    for depth in range(3):
        node = {"id": f"g{depth}", "group": {"nodes": [node]}}
    assert found(node) == []
    assert found({"id": "top", "group": {"nodes": [node]}}) == [
        "error doc.too-deep /nodes/0/group/nodes/0/group/nodes/0/group/nodes/0/group"
    ]


def test_a_join_inside_knows_its_branches(found: Any) -> None:
    gate = {"id": "gate", "type": "t.if", "params": {"condition": "${{ item.score > 1 }}"}}
    yes = {"id": "yes", "type": "t.fetch"}
    join = take("join", text="${{ nodes.yes.output.status }}")
    edges = [arrow(edge) for edge in ("gate.true > yes", "yes > join", "gate.false > join")]
    assert found(each(gate, yes, join, edges=edges)) == ["error ref.not-on-every-path /nodes/0/map/nodes/2/params/text"]
    join = take("join", text="${{ nodes.yes?.output.status ?? '' }}")
    assert found(each(gate, yes, join, edges=edges)) == []


def test_an_error_edge_inside_makes_the_error_known(found: Any) -> None:
    fetch, saved = {"id": "f", "type": "t.fetch"}, take("s", text="${{ nodes.f.error.mesage }}")
    assert found(each(fetch, saved, edges=[arrow("f.error > s")])) == [
        "error type.unknown-field /nodes/0/map/nodes/1/params/text"
    ]


# Repeat and group


def test_carry_has_the_type_of_its_start_and_of_what_the_body_gives(found: Any) -> None:
    start = {"cursor": None, "seen": 0}
    output = {"cursor": "${{ str(carry.seen) }}", "seen": "${{ carry.seen + 1 }}"}
    node = loop(take("a", value="${{ carry.cursor }}"), carry=start, output=output)
    assert (
        found(node, take("z", number="${{ nodes.r.output.carry.seen + nodes.r.output.passes }}"), edges=["r > z"]) == []
    )
    node = loop(take("a", text="${{ carry.cursor }}"), carry=start, output=output)
    assert found(node) == ["warning type.maybe-null /nodes/0/repeat/nodes/0/params/text"]
    node = loop(take("a", text="${{ carry.cursr }}"), carry=start, output=output)
    assert found(node) == ["error type.unknown-field /nodes/0/repeat/nodes/0/params/text"]


def test_a_carry_that_grows_with_every_pass_is_warned_of(found: Any) -> None:
    assert found(loop(take("a"), carry=1, output=["${{ carry }}"])) == [
        "warning type.maybe-mismatch /nodes/0/repeat/output"
    ]


def test_while_is_true_or_false(found: Any) -> None:
    assert found(loop(take("a"), **{"while": "${{ index }}"})) == ["error type.mismatch /nodes/0/repeat/while"]
    assert found(loop(take("a"), **{"while": "yes"})) == ["error param.type /nodes/0/repeat/while"]
    assert found(loop(take("a"), **{"while": "${{ nodes.a.output }}"})) == [
        "error ref.inside-map /nodes/0/repeat/while"
    ]


@pytest.mark.parametrize("delay", [-1, 1e6, {"initial": -1}])
def test_a_delay_between_passes_is_up_to_a_day(found: Any, delay: Any) -> None:
    assert {one.partition("/")[0] for one in found(loop(take("a"), delay=delay))} == {"error doc.schema "}
    assert found(loop(take("a"), delay=86_400)) == []


@pytest.mark.parametrize("kind", ["map", "repeat", "group"])
def test_only_a_group_is_tried_again_as_a_whole(found: Any, kind: str) -> None:
    node = {"map": each(take("a")), "repeat": loop(take("a")), "group": {"id": "g", "group": {"nodes": [take("a")]}}}[
        kind
    ]
    issues = found({**node, "retry": {"max_attempts": 2}, "timeout": 5})
    assert issues == ([] if kind == "group" else ["error doc.schema /nodes/0/retry"])


@pytest.mark.parametrize("option", [{"params": {}}, {"version": 1}, {"on_recovery": "fail"}])
def test_options_of_node_types_do_not_stand_beside_a_body(found: Any, option: dict[str, Any]) -> None:
    assert found({**each(take("a")), **option}) == [f"error doc.schema /nodes/0/{next(iter(option))}"]


def test_a_declared_output_is_compared_with_the_body_s(found: Any) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "string"}}}
    assert found({**each(take("a")), "output_schema": schema}) == ["error type.mismatch /nodes/0/output_schema"]


@pytest.mark.parametrize("kind", ["map", "repeat", "group"])
def test_a_body_is_not_written_as_a_type(found: Any, kind: str) -> None:
    assert "error doc.schema /nodes/0/type" in found({"id": "a", "type": kind})


# A param that is the output


class Given(Params):
    value: Any = Field(default=None, json_schema_extra={"x-aicflow": {"output": True}})


class Same(Node[Given, Any]):
    """Its output is its value."""

    type_id = "t.same"
    errors: ClassVar[Mapping[str, str]] = {}

    async def run(self, ctx: Any, params: Given) -> Any: ...


def same(name: str, value: Any) -> dict[str, Any]:
    return {"id": name, "type": "t.same", "params": {"value": value}}


def test_a_param_marked_as_output_gives_its_type(found: Any) -> None:
    first = same("s", {"total": "${{ input.count }}", "who": "x ${{ input.count }}", "list": [1]})
    for read, issue in (
        ("${{ nodes.s.output.total }}", "error type.mismatch"),
        ("${{ nodes.s.output.who }}", None),
        ("${{ nodes.s.output.woh }}", "error type.unknown-field"),
        ("${{ nodes.s.output.list }}", "error type.mismatch"),
    ):
        expected = [] if issue is None else [f"{issue} /nodes/1/params/text"]
        assert found(first, take("z", text=read), edges=["s > z"]) == expected
    assert found(same("s", 1), take("z", text="${{ nodes.s.output }}"), edges=["s > z"]) == [
        "error type.mismatch /nodes/1/params/text"
    ]
    assert found({"id": "s", "type": "t.same"}, take("z", text="${{ nodes.s.output }}"), edges=["s > z"]) == []


def test_marked_outputs_follow_each_other_however_many_and_in_whatever_order(found: Any) -> None:
    count = 2_000
    chain = [same(f"s{i}", f"${{{{ nodes.s{i - 1}.output }}}}" if i else "${{ input.count }}") for i in range(count)]
    edges = [f"s{i} > s{i + 1}" for i in range(count - 1)]
    last = take("z", text=f"${{{{ nodes.s{count - 1}.output }}}}")
    assert found(last, *reversed(chain), edges=[*edges, f"s{count - 1} > z"]) == [
        "error type.mismatch /nodes/0/params/text"
    ]


def test_an_item_s_type_goes_through_marked_outputs_inside(found: Any) -> None:
    inner = [same("s", {"points": "${{ item.score }}"}), take("a", text="${{ nodes.s.output.points }}")]
    assert found(each(*inner, edges=[arrow("s > a")])) == ["error type.mismatch /nodes/0/map/nodes/1/params/text"]
    steps = loop(same("s", "${{ carry + 1 }}"), carry=1, output="${{ nodes.s.output }}")
    assert found(steps, take("z", text="${{ nodes.r.output.carry }}"), edges=["r > z"]) == [
        "error type.mismatch /nodes/1/params/text"
    ]


def test_only_an_outer_map_is_isolated(found: Any) -> None:
    inner = each(take("a"), over=[1], name="inner", isolate=True)
    assert found(each(inner, over=[1])) == ["error doc.schema /nodes/0/map/nodes/0/map/isolate"]
    assert found({"id": "g", "group": {"nodes": [inner]}}) == ["error doc.schema /nodes/0/group/nodes/0/map/isolate"]
