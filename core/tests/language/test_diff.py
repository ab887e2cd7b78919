"""A diff says what changed in meaning, where it stands, and nothing else."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from aicflow import AICFlowError, Code, Context, Node, Params
from aicflow.kernel.document import Concurrency, Group, Map, NodeEntry, Repeat, Retry, Settings, TriggerEntry
from aicflow.kernel.registry import Registry
from aicflow.language.diff import Diff, diff
from aicflow_language.diff.index import DEFAULTS
from hypothesis import given, settings
from hypothesis import strategies as st

BASE: dict[str, Any] = {
    "aicflow": 1,
    "name": "orders",
    "vars": {"threshold": 100, "none": None},
    "triggers": [
        {"id": "hook", "type": "trigger.webhook", "params": {"path": "orders"}, "input": "${{ trigger.body }}"},
    ],
    "nodes": [
        {"id": "fetch", "type": "http.request", "params": {"url": "https://a.test/${{ input.id }}", "query": {"a": 1}}},
        {"id": "big", "type": "logic.if_else", "params": {"condition": "${{ nodes.fetch.output.total > 1 && true }}"}},
        {"id": "note", "type": "python.code", "params": {"code": "return 1", "inputs": {"rows": [1, {"x": 2}]}}},
    ],
    "edges": [{"from": "fetch", "to": "big"}, {"from": "big", "port": "true", "to": "note"}],
    "output": {"v": "${{ nodes.note?.output ?? 0 }}"},
    "settings": {"timeout": 30},
}  # fmt: skip


def changed(change: Callable[[dict[str, Any]], Any] = lambda document: None) -> dict[str, Any]:
    document = copy.deepcopy(BASE)
    change(document)
    return document


def rows(document: dict[str, Any]) -> list[Any]:
    """A list deep inside the last node."""
    found: list[Any] = document["nodes"][2]["params"]["inputs"]["rows"]
    return found


def lines(old: Any, new: Any) -> list[str]:
    return str(diff(old, new)).splitlines()


def test_what_means_the_same_is_no_change() -> None:
    other = changed()
    other["nodes"] = [dict(reversed(node.items())) for node in reversed(other["nodes"])]
    other["edges"] = [{"from": "big", "port": "true", "to": "note"}, {"from": "fetch", "port": "main", "to": "big"}]
    other["settings"] = {"timeout": 30.0, "fail_fast": False, "engine": None}
    other["output"] = {"v": "  ${{nodes['note']?.output??0}} "}
    other["description"] = None
    other["triggers"][0] |= {"enabled": True, "version": None}
    other["nodes"][1]["params"]["condition"] = "${{ (nodes.fetch.output.total > 1) and True }}"
    other["nodes"][1] |= {"on_error": "fail", "retry": None}
    found = diff(BASE, other)
    assert not found
    assert (str(found), found.to_dict()) == ("no changes", {"changes": []})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(name="x"), "~ workflow: name: 'orders' -> 'x'"),
        (lambda d: d.update(input_schema=True), "~ workflow: input_schema: nothing -> True"),
        (lambda d: d["output"].update(v=1), "~ workflow: output.v: '${{ nodes.note?.output ?? 0 }}' -> 1"),
        (lambda d: d["vars"].update(threshold=100.5), "~ var threshold: value: 100 -> 100.5"),
        (lambda d: d["vars"].pop("none"), "- var none"),
        (lambda d: d["vars"].update(x=None), "+ var x"),
        (lambda d: d["settings"].update(fail_fast=True), "+ setting fail_fast"),
        (lambda d: d["settings"].clear(), "- setting timeout"),
        (lambda d: d["triggers"][0].update(enabled=False), "~ trigger hook: enabled: nothing -> False"),
        (lambda d: d["triggers"].clear(), "- trigger hook (trigger.webhook)"),
        (lambda d: d["nodes"][0].update(type="http.get"), "~ node fetch: type: 'http.request' -> 'http.get'"),
        (lambda d: d["nodes"][0].update(version=2), "~ node fetch: version: nothing -> 2"),
        (lambda d: d["nodes"][0].update(timeout=3), "~ node fetch: timeout: nothing -> 3"),
        (lambda d: d["nodes"][0].update(retry={}), "~ node fetch: retry: nothing -> {}"),
        (lambda d: d["nodes"][0]["params"]["query"].update(a=True), "~ node fetch: params.query.a: 1 -> True"),
        (lambda d: rows(d)[1].update(x=3), "~ node note: params.inputs.rows[1].x: 2 -> 3"),
        (lambda d: rows(d).clear(), "~ node note: params.inputs.rows: [1, {'x': 2}] -> []"),
        (lambda d: d["edges"].pop(), "- edge big.true -> note"),
        (lambda d: d["edges"].append({"from": "fetch", "to": "note"}), "+ edge fetch -> note"),
    ],
)  # fmt: skip
def test_every_kind_of_change_is_told(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    assert lines(BASE, changed(change)) == [told]


def test_the_whole_of_it_in_one_order() -> None:
    other = changed(lambda d: (d["nodes"].insert(0, {"id": "mail", "type": "mail.send"}), d.update(name="b")))
    other["edges"][1]["to"] = "mail"
    found = diff(BASE, other)
    assert [(c.kind, c.what, c.name, c.old_pointer, c.new_pointer) for c in found.changes] == [
        ("changed", "workflow", "", "/name", "/name"),
        ("added", "node", "mail", None, "/nodes/0"),
        ("removed", "edge", "big.true -> note", "/edges/1", None),
        ("added", "edge", "big.true -> mail", None, "/edges/1"),
    ]
    assert json.loads(json.dumps(found.to_dict()))["changes"][1] == {
        "kind": "added", "what": "node", "name": "mail", "path": "", "old": None, "new": {"type": "mail.send"},
        "old_pointer": None, "new_pointer": "/nodes/0",
    }  # fmt: skip


def test_the_defaults_are_those_of_the_document_model() -> None:
    models = {"nodes": NodeEntry, "triggers": TriggerEntry, "settings": Settings, "retry": Retry}
    bodies = {"map": Map, "repeat": Repeat, "group": Group}
    for key, model in {**models, "concurrency": Concurrency, **bodies}.items():
        written = {
            (field.alias or name): field.get_default(call_default_factory=True)
            for name, field in model.model_fields.items()
            if not field.is_required() and name != "edges"
        }
        assert {name: value for name, value in written.items() if value is not None} == DEFAULTS[key]


def test_retries_are_compared_by_what_they_do() -> None:
    def with_retry(retry: Any) -> dict[str, Any]:
        return changed(lambda d: d["nodes"][0].update(retry=retry))

    assert not diff(with_retry({}), with_retry({"max_attempts": 3, "jitter": True, "on": None}))
    assert lines(with_retry({}), with_retry({"jitter": False})) == ["~ node fetch: retry.jitter: nothing -> False"]


def with_map(**body: Any) -> dict[str, Any]:
    inner = {"id": "get", "type": "http.request", "params": {"url": "https://a.test/${{ order.id }}"}}
    score = {"id": "score", "type": "data.set", "params": {"value": "${{ nodes.get.output }}"}}
    given = {"over": "${{ nodes.fetch.output.rows }}", "as": "order", "nodes": [inner, score]}
    given["edges"] = [{"from": "get", "to": "score"}]
    return changed(lambda d: d["nodes"].append({"id": "each", "map": {**given, **body}}))


def test_what_is_inside_of_a_map_is_compared_node_by_node() -> None:
    base = with_map()
    assert not diff(base, with_map(concurrency=10, over="${{ nodes.fetch.output . rows }}", batch=1))
    assert lines(base, with_map(concurrency=5)) == ["~ node each: map.concurrency: nothing -> 5"]
    other = copy.deepcopy(base)
    other["nodes"][3]["map"]["nodes"][0]["params"]["url"] = "https://b.test"
    other["nodes"][3]["map"]["edges"][0]["port"] = "error"
    other["nodes"][3]["map"]["nodes"].append({"id": "late", "group": {"nodes": [{"id": "in", "type": "wait"}]}})
    found = diff(base, other)
    assert [str(change) for change in found.changes] == [
        "~ node each.get: params.url: 'https://a.test/${{ order.id }}' -> 'https://b.test'",
        "+ node each.late (group)",
        "+ node each.late.in (wait)",
        "- edge each.get -> each.score",
        "+ edge each.get.error -> each.score",
    ]
    assert found.changes[0].new_pointer == "/nodes/3/map/nodes/0/params/url"
    assert found.changes[3].old_pointer == "/nodes/3/map/edges/0"


def test_new_ids_inside_of_a_map_are_renamings() -> None:
    text = json.dumps(with_map()).replace('"get"', '"load"').replace(".get", ".load").replace('"each"', '"all"')
    assert lines(with_map(), json.loads(text)) == [
        "> node each is now called all",
        "> node each.get is now called load",
    ]


def test_a_node_that_moves_into_a_map_says_so() -> None:
    other = with_map()
    other["nodes"].append(other["nodes"][3]["map"]["nodes"].pop())
    other["nodes"][3]["map"]["edges"] = []
    assert lines(with_map(), other) == ["~ node score: inside: 'each' -> nothing", "- edge each.get -> score"]


def test_a_new_id_everywhere_is_a_renaming() -> None:
    text = json.dumps(BASE).replace("fetch", "load").replace('"note"', '"remark"').replace(".note", ".remark")
    other = json.loads(text)
    assert lines(BASE, other) == ["> node fetch is now called load", "> node note is now called remark"]
    other["nodes"][1]["params"]["condition"] = "${{ nodes.load.output.total > 2 }}"
    renamed, _, edited = diff(BASE, other).changes
    assert (renamed.old, renamed.new) == ("fetch", "load")
    assert (edited.kind, edited.name, edited.path) == ("changed", "big", "params.condition")


def test_a_reference_that_still_names_the_old_id_is_a_change() -> None:
    other = json.loads(json.dumps(BASE).replace('"fetch"', '"load"'))
    assert lines(BASE, other) == [
        "> node fetch is now called load",
        "~ node big: params.condition: '${{ nodes.fetch.output.total > 1 && true }}' -> "
        "'${{ nodes.fetch.output.total > 1 && true }}'",
    ]


def test_another_node_in_its_place_is_no_renaming() -> None:
    other = json.loads(json.dumps(BASE).replace("fetch", "load").replace("a.test", "c.test"))
    kinds = [(change.kind, change.what) for change in diff(BASE, other).changes]
    assert ("removed", "node") in kinds
    assert ("added", "node") in kinds
    assert "renamed" not in {kind for kind, _ in kinds}


class Script(Params):
    """Code under a name of its own."""

    script: Annotated[Code, ...] = ""
    text: str = ""


class Runs(Node[Script, None]):
    type_id = "test.runs"

    async def run(self, ctx: Context, params: Script) -> None:
        return None


def test_code_is_compared_as_it_is() -> None:
    def document(code: str, text: str) -> dict[str, Any]:
        params = {"script": code, "text": text}
        return {"aicflow": 1, "name": "n", "nodes": [{"id": "n", "type": "test.runs", "params": params}]}

    registry = Registry()
    registry.register(Runs)
    found = diff(document("'${{a}}'", "${{input}}"), document("'${{ a }}'", "${{ input }}"), registry)
    assert [change.path for change in found.changes] == ["params.script"]
    one, two = (
        changed(lambda d, c=code: d["nodes"][2]["params"].update(code=c)) for code in ("'${{a}}'", "'${{ a }}'")
    )
    assert [change.path for change in diff(one, two).changes] == ["params.code"], "known without a registry too"


def test_an_expression_that_cannot_be_read_means_itself() -> None:
    one, two = (changed(lambda d, v=v: d.update(output=v)) for v in ("${{ 1 + }} ${{", "${{ 1 +}} ${{"))
    assert not diff(one, copy.deepcopy(one))
    assert len(diff(one, two).changes) == 1


def test_an_escape_is_no_expression() -> None:
    one, two = (changed(lambda d, v=v: d.update(output=v)) for v in ("$${{ a }}", "${{ '${{ a }}' }}"))
    assert len(diff(one, two).changes) == 1


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (5, "the top"),
        ({"nodes": 5}, "/nodes"),
        ({"nodes": [{}]}, "/nodes/0/id"),
        ({"nodes": [{"id": "a"}]}, "/nodes/0/type"),
        ({"nodes": [{"id": "a", "type": "t"}, {"id": "a", "type": "t"}]}, "duplicate id 'a'"),
        ({"nodes": [], "edges": [{"from": "a"}]}, "/edges/0/to"),
        ({"nodes": [], "settings": []}, None),
        ({"nodes": [], "vars": [1]}, "/vars"),
        ({"nodes": [], "triggers": ["x"]}, "/triggers/0"),
    ],
)
def test_what_is_no_document_is_refused(wrong: Any, where: str | None) -> None:
    if where is None:
        diff(wrong, wrong)  # empty is empty
        return
    with pytest.raises(AICFlowError, match="not a workflow document") as caught:
        diff(BASE, wrong)
    assert where in caught.value.message


IDS = st.sampled_from(["a", "b", "c", "d", "e"])
TEXTS = st.sampled_from(
    [
        "",
        "x",
        "${{ nodes.a.output }}",
        "${{nodes['b'].output[0]}} and ${{ 1 }}",
        "$${{ }}",
        "${{ oops",
        "${{ true == 1 }}",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5]) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["p", "q/r", "s~"]), inner, max_size=3),
    max_leaves=8,
)
OPTIONAL = {"params": st.dictionaries(st.sampled_from(["u", "v", "code"]), VALUES, max_size=3), "timeout": st.just(3)}
ENTRIES = st.lists(
    st.fixed_dictionaries({"id": IDS, "type": st.sampled_from(["t.one", "python.code"])}, optional=OPTIONAL),
    max_size=5,
    unique_by=lambda entry: entry["id"],
)
DOCUMENTS = st.fixed_dictionaries(
    {"nodes": ENTRIES},
    optional={
        "name": st.sampled_from(["n", "m"]),
        "triggers": ENTRIES,
        "vars": st.dictionaries(IDS, VALUES, max_size=2),
        "settings": st.fixed_dictionaries({}, optional={"timeout": st.just(1), "concurrency": st.just({"key": "k"})}),
        "output": VALUES,
        "edges": st.lists(st.fixed_dictionaries({"from": IDS, "to": IDS}, optional={"port": IDS}), max_size=4),
    },
)


def shuffled(value: Any, source: random.Random, *, lists: bool = True) -> Any:
    """The document with its keys, and the lists whose order means nothing, in another order."""
    if isinstance(value, dict):
        keys = list(value)
        source.shuffle(keys)
        return {key: shuffled(value[key], source, lists=False) for key in keys} | (
            {
                key: source.sample([shuffled(item, source, lists=False) for item in value[key]], len(value[key]))
                for key in ("nodes", "edges", "triggers")
                if lists and key in value
            }
        )
    return [shuffled(item, source, lists=False) for item in value] if isinstance(value, list) else value


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_a_document_in_another_order_is_the_same(document: dict[str, Any], source: random.Random) -> None:
    assert not diff(document, shuffled(document, source))


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_pointers_lead_to_what_they_say_and_both_ways_agree(old: dict[str, Any], new: dict[str, Any]) -> None:
    there, back = diff(old, new), diff(new, old)
    assert bool(there) == bool(back)
    assert not diff(old, copy.deepcopy(old))
    for change in there.changes:
        for pointer, value, document in ((change.old_pointer, change.old, old), (change.new_pointer, change.new, new)):
            if pointer is None:
                assert value is None
            elif change.what == "edge":
                assert {"port": "main", **at(document, pointer)} == value or change.kind == "removed"
            elif change.kind == "renamed":
                assert at(document, pointer)["id"] == value
            elif change.what in ("node", "trigger") and not change.path:
                assert at(document, pointer)["id"] == change.name
            else:
                assert at(document, pointer) == value


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_following_the_changes_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = diff(old, new)
    assert not diff(applied(old, found), new)


def at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def applied(old: dict[str, Any], found: Diff) -> dict[str, Any]:
    """The old document after the changes. Values that hold references are taken from the new document's text, so a
    renaming is done by giving the node its new id and letting the changes and the rest speak."""
    names = {change.old: change.new for change in found.changes if change.kind == "renamed"}
    if names:
        text = json.dumps(old)
        for one, other in names.items():
            text = text.replace(f"nodes.{one}.", f"nodes.{other}\0.").replace(f"nodes['{one}']", f"nodes['{other}\0']")
        old = json.loads(text.replace("\0", ""))
    lists: dict[str, dict[str, Any]] = {
        top: {names.get(e["id"], e["id"]) if top == "nodes" else e["id"]: copy.deepcopy(e) for e in old.get(top, [])}
        for top in ("nodes", "triggers")
    }
    for entry_id, entry in lists["nodes"].items():
        entry["id"] = entry_id
    own = {key: copy.deepcopy(old.get(key)) for key in ("name", "description", "input_schema", "output")}
    tables = {top: copy.deepcopy(old.get(top) or {}) for top in ("vars", "settings")}
    edges = {
        (names.get(e["from"], e["from"]), e.get("port", "main"), names.get(e["to"], e["to"]))
        for e in old.get("edges", [])
    }
    for change in found.changes:
        if change.what == "workflow":
            put(own, change.path, change.new, change.new_pointer is None)
        elif change.what in ("var", "setting"):
            table = tables["vars" if change.what == "var" else "settings"]
            if change.kind == "changed":
                holder = {"value": table[change.name]}
                put(holder, change.path, change.new, change.new_pointer is None)
                table[change.name] = holder["value"]
            elif change.kind == "added":
                table[change.name] = change.new
            else:
                del table[change.name]
        elif change.what == "edge":
            value = change.old or change.new
            arrow = (value["from"], value["port"], value["to"])
            edges ^= {arrow}
        elif change.kind == "added":
            lists[f"{change.what}s"][change.name] = {"id": change.name, **change.new}
        elif change.kind == "removed":
            del lists[f"{change.what}s"][change.name]
        elif change.kind == "changed":
            put(lists[f"{change.what}s"][change.name], change.path, change.new, change.new_pointer is None)
    listed = [{"from": a, "port": port, "to": b} for a, port, b in edges]
    return {**own, **tables, **{top: list(table.values()) for top, table in lists.items()}, "edges": listed}


def put(holder: Any, path: str, value: Any, gone: bool) -> None:
    """Set what a path with dots leads to, or take it away."""
    *way, last = path.replace("[", ".#").replace("]", "").split(".")
    for step in way:
        holder = holder[int(step[1:])] if step.startswith("#") else holder[step]
    if gone:
        del holder[last]
    else:
        holder[int(last[1:]) if last.startswith("#") else last] = value
