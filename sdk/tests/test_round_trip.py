"""Python to document to Python keeps the meaning, whatever the document holds; so does YAML."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from aicflow.host.documents import read_document
from aicflow_sdk import BuildError, Workflow, diff
from aicflow_sdk.build.yaml_text import to_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_expressions import built, trees, written

plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = st.sampled_from(["fetch", "big", "import", "wf", "a", "b", "_c", "expr", "print"])
keys = st.sampled_from(["url", "code", "id", "type", "timeout", "for", "a b", "x", "params", "name"]) | plain_text
holes = trees.map(lambda tree: "${{ " + written(built(tree)).replace("item", "nodes.fetch.output") + " }}")
fixed_holes = st.sampled_from(
    [
        "${{ input.order.id }}",
        "${{nodes.fetch.output.body[0]?.x ?? 'none'}}",
        "${{ a &&!b }}",
        "${{ 1 < 2 < 3 }}",
        "${{ [x.y for x in input.lines if x.n in [1]] }}",
        "${{ not an expression ( }}",
        "${{ never closed",
        "$${{ escaped }}",
        " ${{ input.padded }}\n",
        '${{ "$" }}${{ input.price }}',
        "{${{ input.braces }}}",
        "${{ nodes.later.output }} and ${{ nodes['fetch'].output }}",
        '${{ "a}}b" }} ${{ {"k": {"n": 1}} }}',
        "${{ 5 }}",
        "${{ [] }}",
        "${{ 'abc' % input.x }}",
        "${{ 5 < input.x }}",
    ]
)
body_ids = st.sampled_from(["inner", "row", "lambda", "item", "index"])
body_holes = st.sampled_from(
    [
        "${{ item }}",
        "${{ row.id + index }}",
        "${{ carry?.next ?? index }}",
        "${{ [a for a in item if a > index] }}",
        "${{ class }}",
    ]
)
texts = plain_text | holes | fixed_holes | st.tuples(plain_text, holes, plain_text).map("".join)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
clean_keys = keys.filter(lambda key: "${{" not in key)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(clean_keys, inner, max_size=3), max_leaves=6
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    node_ids = draw(st.lists(ids, unique=True, max_size=4))
    nodes = []
    for node_id in node_ids:
        node: dict[str, Any] = {"id": node_id, "type": draw(st.sampled_from(["python.code", "http.request", "x"]))}
        if draw(st.booleans()):
            node["params"] = draw(st.dictionaries(clean_keys, values, min_size=1, max_size=4))
            if node["type"] == "python.code":
                node["params"]["code"] = draw(
                    texts | st.sampled_from(["return 1\n", 'a = """x"""\nreturn a', "x\\\n'''"])
                )
        node |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "timeout": st.integers(1, 9),
                    "on_error": st.just("continue"),
                    "run": st.just("always"),
                    "name": plain_text,
                },
            )
        )
        nodes.append(node)
    if nodes and draw(st.booleans()):
        kind = draw(st.sampled_from(["map", "repeat", "group"]))
        body: dict[str, Any] = {
            "nodes": [{"id": draw(body_ids), "type": "x", "params": {"v": draw(texts | body_holes)}}]
        }
        if draw(st.booleans()):
            body["output"] = draw(values.filter(lambda value: value is not None) | body_holes)
        if kind == "map":
            body |= {"over": draw(values), "as": draw(st.sampled_from(["item", "row", "class", "a", "wf", "fn"]))}
            body |= draw(st.sampled_from([{}, {"key": "${{ row.id }}"}, {"key": "${{ index }}"}, {"concurrency": 3}]))
        elif kind == "repeat":
            body |= {
                "while": draw(st.sampled_from(["${{ carry.more }}", "${{ index < 3 and carry }}", True])),
                "max": 3,
            }
        nodes[0] = {"id": nodes[0]["id"], kind: body}
    document: dict[str, Any] = {"aicflow": 1, "name": draw(plain_text), "nodes": nodes}
    if len(node_ids) > 1 and draw(st.booleans()):
        port = draw(st.sampled_from(["main", "true", "odd port", "error", "output"]))
        edge = {"from": node_ids[0], "port": port, "to": node_ids[1]}
        if port == "main":
            del edge["port"]
        document["edges"] = [edge]
    if draw(st.booleans()):
        document["triggers"] = [{"id": "t", "type": "trigger.webhook", "params": {"path": "p"}, "input": draw(texts)}]
    if draw(st.booleans()):
        document["output"] = draw(values.filter(lambda value: value is not None))
    if draw(st.booleans()):
        document["vars"] = {"v": draw(values)}
    if draw(st.booleans()):
        document["settings"] = {"timeout": 3, "concurrency": {"key": draw(texts), "limit": 2}}
    return document


@settings(max_examples=150, deadline=None)
@given(documents())
@example({"aicflow": 1, "name": "x", "nodes": [], "output": "${{ [i.x for i in input.a] }}"})
def test_the_python_program_builds_the_same_workflow(document: dict[str, Any]) -> None:
    document["edges"] = [
        edge for edge in document.get("edges", []) if edge.get("port") in (None, "error") or _any_port(document, edge)
    ]
    program = Workflow.from_dict(document).to_python()
    scope: dict[str, Any] = {}
    exec(compile(program, "<program>", "exec"), scope)
    again = scope["wf"].to_dict()
    assert not diff(document, again), f"{diff(document, again)}\n{program}"


def _any_port(document: dict[str, Any], edge: dict[str, Any]) -> bool:
    """Whether the node's type leaves the names of ports open."""
    return next(node.get("type") for node in document["nodes"] if node["id"] == edge["from"]) == "x"


@settings(deadline=None)
@given(documents())
def test_a_document_read_is_written_as_it_was(document: dict[str, Any]) -> None:
    again = Workflow.from_dict(document).to_dict()
    assert again == document


odd_texts = st.sampled_from(
    [
        *[
            "true",
            "No",
            "1e3",
            "0x1",
            "1_0",
            "a: b",
            "# x",
            "- x",
            "",
            " x",
            "x ",
            "a\nb\n\n",
            "|",
            "~",
            "=",
            "<<",
            "y",
        ],
        *["12:30", "a\n  b", "  a\nb", "a\n\tb", "\n", "tab\tx\ny", "x\r\ny", "null", "2001-01-01", "f {\n  'a'\n}\n"],
    ]
)
odd_keys = plain_text | st.sampled_from(["on", "no", "1", "<<"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | odd_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_keys, inner, max_size=4),
    max_leaves=10,
)


def same(a: Any, b: Any) -> bool:
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(plain_text, anything, min_size=1, max_size=4))
def test_yaml_says_what_json_says(value: dict[str, Any]) -> None:
    text = to_yaml(value)
    assert same(yaml.safe_load(text), value), text
    assert same(read_document(text.encode(), "yaml").value, value), text


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is an object, not list"),
        ({"aicflow": 1, "name": "x"}, "/nodes is missing"),
        ({"aicflow": 2, "name": "x", "nodes": []}, "/aicflow is 2"),
        ({"aicflow": 1, "nodes": []}, "/name is not text"),
        ({"aicflow": 1, "name": "x", "nodes": [], "nods": 1}, "/nods is not known"),
        ({"aicflow": 1, "name": "x", "nodes": [{"id": "a"}]}, "/nodes/0 has one of type, map, repeat and group"),
        ({"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": "x", "parms": {}}]}, "/nodes/0/parms is not known"),
        ({"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": "x"}] * 2}, "/nodes/1/id: 'a' is taken"),
        ({"aicflow": 1, "name": "x", "nodes": [], "edges": [{"from": "a", "to": "b"}]}, "no node 'a'"),
        ({"aicflow": 1, "name": "x", "nodes": [], "triggers": {}}, "/triggers is not a list"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        Workflow.from_dict(document)
