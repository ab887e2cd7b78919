"""Whatever a document holds: findings with known codes, at places that exist, in document order; never an exception."""

import copy
import json
import os

import pytest
from aicflow.language.validation import CODES, Limits, validate
from aicflow.language.validation.report import _Positions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = max(400, int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "800")) // 2)

SAMPLE = {
    "aicflow": 1,
    "name": "sample",
    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    "vars": {"limit": 3, "names": ["a", {"b": None}]},
    "triggers": [{"id": "bell", "type": "t.bell", "params": {"value": 1}, "input": {"n": "${{ trigger.body.n }}"}}],
    "nodes": [
        {"id": "fetch", "type": "t.fetch", "retry": {"max_attempts": 2}, "on_error": "continue"},
        {"id": "gate", "type": "t.if", "params": {"condition": "${{ nodes.fetch.output?.ok ?? false }}"}},
        {"id": "yes", "type": "t.take", "params": {"text": "n is ${{ input.n }}", "texts": ["${{ vars.names[0] }}"]}},
        {"id": "no", "type": "t.any", "output_schema": {"type": "object", "properties": {"k": {"type": "string"}}}},
        {"id": "join", "type": "t.any", "params": {"value": {"a": "${{ nodes.no?.output?.k }}", "b": [1, "x"]}}},
    ],
    "edges": [
        {"from": "fetch", "to": "gate"},
        {"from": "gate", "port": "true", "to": "yes"},
        {"from": "gate", "port": "false", "to": "no"},
        {"from": "yes", "to": "join"},
        {"from": "no", "to": "join"},
    ],
    "output": {"x": "${{ nodes.join.output }}", "y": "${{ nodes.yes?.output ?? vars.limit }}"},
    "settings": {"timeout": 5, "concurrency": {"key": "k ${{ input.n }}", "limit": 1}},
}

SOURCES = [
    "nodes.yes.output",
    "nodes.fetch.output.people[0].name",
    "input.n + 'a'",
    "nodes",
    "vars.nope",
    "1 +",
    "has(input.a)",
    "nodes.join.error.message",
    "[x.y for x in nodes.fetch.output.people]",
    "secrets.A",
    "trigger.body",
    "not input.n",
    "nodes.gate.output.status == 'odd'",
    "",
    "'" * 3,
    "a" * 5000,
    "((((" * 20,
    "input?.n ?? nodes.no?.output",
    "\ud800",
    "é😀",
    "input.n == nodes.fetch.output.ok",
    "execution.id",
    "sum([input.n])",
    "{'a': input}.b",
    "vars['limit']",
    "max(1, 'a')",
]
KEYS = [
    *[
        "id",
        "type",
        "params",
        "input",
        "output",
        "nodes",
        "edges",
        "triggers",
        "from",
        "to",
        "port",
        "vars",
        "settings",
        "name",
        "version",
        "value",
        "text",
    ],
    *[
        "retry",
        "concurrency",
        "key",
        "on_error",
        "run",
        "output_schema",
        "properties",
        "$ref",
        "anyOf",
        "items",
        "required",
        "additionalProperties",
    ],
    *("a", "", "/", "~1", "0", "${{ input.n }}", "😀"),
]
WORDS = [
    "fetch",
    "gate",
    "join",
    "yes",
    "true",
    "error",
    "main",
    "t.any",
    "t.take",
    "t.if",
    "object",
    "integer",
    "#",
    "a b",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.sampled_from(WORDS),
    st.sampled_from(SOURCES).map(lambda source: "${{ " + source + " }}"),
    st.sampled_from(SOURCES).map(lambda source: "a ${{" + source + "}} b ${{ 1 }} ${{"),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


ALL_PLACES = [path for path in places(SAMPLE) if path]


@st.composite
def documents(draw):
    """The sample with a few things changed, added or taken away."""
    document = copy.deepcopy(SAMPLE)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(ALL_PLACES))
        at = document
        try:
            for key in path[:-1]:
                at = at[key]
            at[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        match draw(st.integers(0, 3)):
            case 0:
                del at[path[-1]]
            case 1 if isinstance(at, dict):
                at[draw(st.sampled_from(KEYS))] = draw(values)
            case 2 if isinstance(at, list):
                at.append(copy.deepcopy(draw(st.sampled_from([*at, None, {}, 1]))))
            case _:
                at[path[-1]] = draw(values)
    return document


def value_at(document, pointer):
    at = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        at = at[int(key)] if isinstance(at, list) else at[key]
    return at


def check(document, found):
    positions = _Positions(document)
    order = []
    for issue in found:
        assert issue.code in CODES, issue
        assert issue.message
        if issue.code == "doc.too-many-issues":
            continue
        there = value_at(document, issue.pointer)
        if issue.span is not None:
            assert isinstance(there, str)
            assert 0 <= issue.span[0] <= issue.span[1] <= len(there), issue
        for related in issue.related:
            value_at(document, related.pointer)
        order.append((positions.of(issue.pointer), issue.span or (0, 0)))
        issue.to_dict()
    assert order == sorted(order)
    assert len(set(found)) == len(found)


def test_the_sample_is_well(registry):
    assert [issue.to_dict() for issue in validate(SAMPLE, registry)] == []


# the same examples every time, unless somebody asks for more
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AICFLOW_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@FUZZ
@given(documents(), st.sampled_from([None, {"A"}, set()]))
def test_changed_documents(registry, document, secret_names):
    before = repr(document)
    check(document, validate(document, registry, secret_names=secret_names))
    assert repr(document) == before


@FUZZ
@given(values)
def test_anything(registry, document):
    found = validate(document, registry)
    if isinstance(document, dict):
        check(document, found)
    assert any(issue.severity == "error" for issue in found)


def chain(count, params, **more):
    nodes = [{"id": f"n{k}", "type": "t.any", "params": {"value": params(k)}} for k in range(count)]
    edges = [{"from": f"n{k}", "to": f"n{k + 1}"} for k in range(count - 1)]
    return {"aicflow": 1, "name": "big", "nodes": nodes, "edges": edges, **more}


def wide_schema(count):
    field = {"type": "object", "properties": {"x": {"type": ["string", "null"]}}, "additionalProperties": False}
    return {"type": "object", "properties": {f"p{k}": field for k in range(count)}, "additionalProperties": False}


def tangled(k):
    one = {"anyOf": [{"type": "object", "properties": {"a": {"const": i * k}}} for i in range(20)]}
    two = {"anyOf": [{"type": "object", "properties": {"b": {"const": i}}} for i in range(20)]}
    return {"allOf": [one, two]}


LARGE = {
    "lists in lists": chain(50, lambda k: json.loads("[" * 50 + '"${{ input.a }}"' + "]" * 50)),
    "displays in displays": chain(
        60, lambda k: "${{ " + "[" * 38 + f"input.p{k}" + "]" * 38 + " }}", input_schema=wide_schema(60)
    ),
    "loops in loops": chain(
        40, lambda k: "${{ " + "[x for x in " * 12 + "[input]" + "]" * 12 + " }}", input_schema=wide_schema(900)
    ),
    "many references in one text": chain(
        20, lambda k: " ".join(f"${{{{input.p{j}.x}}}}" for j in range(400)), input_schema=wide_schema(400)
    ),
    "a long path": chain(20, lambda k: "${{ input" + ".a" * 500 + " }}"),
    "one large input, used whole": chain(
        60, lambda k: "${{ [input, {'a': input}, input ?? 1, input == vars] }}", input_schema=wide_schema(3_000)
    ),
    "large vars": chain(40, lambda k: "${{ [vars, vars.a, vars.a[5]] }}", vars={"a": [{"b": list(range(50))}] * 500}),
    "schemas with very many alternatives": chain(
        100,
        lambda k: f"${{{{ input.p{k}?.a == input.p{(k * 7) % 200} }}}}",
        input_schema={"type": "object", "properties": {f"p{k}": tangled(k) for k in range(200)}},
    ),
    "a schema that contains itself": chain(
        20,
        lambda k: "${{ input" + ".n" * 60 + " }}",
        input_schema={"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]},
    ),
    "every node before every other": {
        **chain(120, lambda k: f"${{{{ nodes.n{k // 2}.output }}}}" if k else 1),
        "edges": [{"from": f"n{a}", "to": f"n{b}"} for a in range(120) for b in range(a + 1, 120)],
    },
    "branches in each other's way": {
        **chain(90, lambda k: 1),
        "nodes": [
            {
                "id": f"n{k}",
                "type": "t.if",
                "params": {"condition": f"${{{{ nodes.n{k // 3}.output.ok }}}}" if k else True},
            }
            for k in range(90)
        ],
        "edges": [
            {"from": f"n{a}", "to": f"n{b}", "port": "true" if (a * b) % 3 else "false"}
            for a in range(90)
            for b in range(a + 1, min(a + 9, 90))
        ],
    },
}


@pytest.mark.parametrize("name", LARGE)
def test_large_documents(registry, name):
    check(LARGE[name], validate(LARGE[name], registry))


@pytest.mark.parametrize(
    ("limits", "document"),
    [
        (Limits(expressions=10), chain(11, lambda k: "${{ 1 }}")),
        (Limits(characters=1_000), chain(11, lambda k: " ".join(["${{ 1234567890 }}"] * 10))),
        (Limits(parts=100), chain(11, lambda k: "${{ " + "+".join("1" * 20) + " }}")),
        (Limits(edges=3), chain(5, lambda k: 1)),
    ],
)
def test_more_than_the_limits_allow(registry, limits, document):
    assert [issue.code for issue in validate(document, registry, limits=limits)] == ["doc.too-large"]


def test_what_an_expression_holds_counts_also_behind_a_quotation(registry):
    """`}}` inside quotation marks does not end an expression, and cannot hide how long it is."""
    document = chain(40, lambda k: "${{ '}}' + " + "+".join(["'abc'"] * 100) + " }}")
    found = validate(document, registry, limits=Limits(characters=10_000))
    assert [issue.code for issue in found] == ["doc.too-large"]


def test_node_types_that_stumble_are_no_reason_to_stop(registry):
    """A type whose own methods raise for odd params tells nothing of its output; the rest is still checked."""
    document = {
        "aicflow": 1,
        "name": "x",
        "nodes": [
            {"id": "e", "type": "t.echo"},
            {"id": "a", "type": "t.any", "params": {"value": "${{ nodes.e.output.x + nodes.b.output }}"}},
        ],
        "edges": [{"from": "e", "to": "a"}],
    }
    assert [issue.code for issue in validate(document, registry)] == ["ref.unknown-node"]
