"""Static types: what provably cannot work is an error, what may not a warning, what is not known is silent."""

import pytest

INPUT = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "s": {"type": "string"},
        "b": {"type": "boolean"},
        "none": {"type": "null"},
        "maybe": {"type": ["string", "null"]},
        "either": {"type": ["string", "integer"]},
        "color": {"enum": ["red", "green"]},
        "list": {"type": "array", "items": {"type": "integer"}},
        "names": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "point": {
            "type": "object",
            "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
            "required": ["x"],
            "additionalProperties": False,
        },
        "open": {"type": "object", "properties": {"known": {"type": "string"}}, "required": ["known"]},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "tree": {"$ref": "#/$defs/tree"},
        "any": {},
    },
    "required": [
        "n",
        "x",
        "s",
        "b",
        "none",
        "maybe",
        "either",
        "color",
        "list",
        "names",
        "point",
        "open",
        "map",
        "tree",
        "any",
    ],
    "additionalProperties": False,
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
}


@pytest.fixture
def found(issues_of):
    """The codes found for an expression (or a text that holds some) in a param."""

    def look(source, param="value", **parts):
        written = source if "${{" in source else "${{ " + source + " }}"
        document = {
            "input_schema": INPUT,
            "nodes": [{"id": "a", "type": "t.take", "params": {param: written}}],
            **parts,
        }
        return [issue.code for issue in issues_of(document)]

    return look


FIELDS = [
    ("input.n", []),
    ("input.nn", ["type.unknown-field"]),
    ("input.nn ?? 1", ["type.undeclared-field"]),
    ("input?.nn", ["type.undeclared-field"]),
    ("has(input.nn)", ["type.undeclared-field"]),
    ("difference(parse_time(1), add_time('2026-01-01', 1, 'day')) > 60", []),
    ("zone('2026-01-01', 'UTC').lower()", []),
    ("format_time(5, '%Y')", ["type.operand"]),
    ("add_time('2026-01-01', 'one', 'day')", ["type.operand"]),
    ("difference('2026-01-01', null)", ["type.operand"]),
    ("parse_time('2026-01-01').year", ["type.no-field"]),
    ("input.point.x", []),
    ("input.point.y", ["type.maybe-missing"]),
    ("input.point?.y", []),
    ("input.point.y ?? 0", []),
    ("input.point.y if has(input.point.y) else 0", []),
    ("input.point.y if 'y' in input.point else 0", []),
    ("input.point.y if input.point.has('y') else 0", []),
    ("input.point.z", ["type.unknown-field"]),
    ("input.point['x'] + 1", []),
    ("input.open.known", []),
    ("input.open.knwon", ["type.undeclared-field"]),
    ("input.open.knwon ?? 1", []),
    ("input.map.anything", ["type.maybe-missing"]),
    ("input.map?.anything", []),
    ("input.any.thing.at[0].all", []),
    ("input.n.x", ["type.no-field"]),
    ("input.n?.x", ["type.no-field"]),
    ("input.n.x ?? 1", ["type.no-field"]),
    ("input.s.x", ["type.no-field"]),
    ("input.list.x", ["type.no-field"]),
    ("input.either.x", ["type.no-field"]),
    ("input.none.x", ["type.no-field"]),
    ("input.none?.x", []),
    ("input.maybe.x", ["type.maybe-null", "type.no-field"]),
    ("input.maybe?.x", ["type.maybe-mismatch"]),
    ("input.maybe.lower()", ["type.maybe-null"]),
    ("input.maybe?.lower()", []),
    ("(input.maybe ?? '').lower()", []),
    ("input.maybe.lower() if input.maybe != null else ''", []),
    ("'' if input.maybe == null else input.maybe.lower()", []),
    ("input.maybe != null and input.maybe.lower() == 'a'", []),
    ("input.tree.next.next.value", ["type.maybe-null", "type.maybe-null"]),
    ("input.tree.next?.next?.value", []),
    ("input.list[0]", ["type.maybe-missing"]),
    ("input.names[0].lower()", []),
    ("input.names[-1].lower()", []),
    ("input.s[0]", ["type.maybe-missing"]),
    ("input.list['a']", ["type.no-field"]),
    ("input.point[0]", ["type.no-field"]),
    ("input.list[input.s]", ["type.operand"]),
    ("input.point[input.n]", ["type.operand"]),
    ("input.map[input.s] + 1", []),
    ("input.list[input.n] + 1", []),
    ("input.n[input.s]", ["type.no-field"]),
    ("input.list[1:][0] + 1", ["type.maybe-missing"]),
    ("input.n[1:]", ["type.no-field"]),
    ("input.list[input.s:]", ["type.operand"]),
    ("{'a': input.n}.a + 1", []),
    ("{'a': input.n}.b", ["type.unknown-field"]),
    ("[1, 'a'][1].lower()", []),
    ("[1][3]", ["type.unknown-field"]),
    ("[k.x for k in input.map ?? []]", ["type.no-field"]),
    ("[k.lower() for k in input.map ?? []]", []),
    ("[k + 1 for k in input.list ?? []]", []),
    ("[k.x for k in []]", []),
]

OPERATORS = [
    ("input.n + input.x", []),
    ("input.n + input.s", ["type.operand"]),
    ("'a' + input.n", ["type.operand"]),
    ("input.s + str(input.n)", []),
    ("input.list + [1]", []),
    ("input.list + 1", ["type.operand"]),
    ("input.s * 2", ["type.operand"]),
    ("input.b + 1", ["type.operand"]),
    ("input.either + 1", ["type.maybe-mismatch"]),
    ("input.maybe + 'a'", ["type.maybe-null"]),
    ("input.any + 1", []),
    ("-input.s", ["type.operand"]),
    ("-input.n", []),
    ("input.n < input.s", ["type.operand"]),
    ("input.s < 'b'", []),
    ("1 < input.x < 3", []),
    ("input.none < 1", ["type.operand"]),
    ("input.n == input.x", []),
    ("input.n == '1'", ["type.never-equal"]),
    ("input.n != '1'", ["type.never-equal"]),
    ("input.n == true", ["type.never-equal"]),
    ("input.color == 'red'", []),
    ("input.color == 'blue'", ["type.never-equal"]),
    ("input.color in ['red', 'blue']", []),
    ("input.color in ['blue']", ["type.never-equal"]),
    ("input.n == null", ["type.never-equal"]),
    ("input.n != null", []),
    ("input.maybe == null", []),
    ("input.s in input.names", []),
    ("input.n in input.names", ["type.never-equal"]),
    ("input.n in input.s", ["type.operand"]),
    ("'a' in input.point", []),
    ("1 in input.n", ["type.operand"]),
    ("not input.b", []),
    ("not input.s", ["type.operand"]),
    ("input.b and input.n", ["type.operand"]),
    ("input.b or input.n > 1", []),
    ("1 if input.s else 2", ["type.operand"]),
    ("1 if input.any else 2", []),
    ("(1 if input.b else 'a') + 1", ["type.maybe-mismatch"]),
    ("(1 if input.none == null else 'a') + 1", []),
    ("('a' if input.none != null else 1) + 1", []),
    ("('a' if not (input.none == null) else 1) + 1", []),
    ("('a' if input.b and input.none != null else 1) + 1", []),
    ("(1 if input.b or 1 == 1 else 'a') + 1", []),
    ("input.maybe.lower() if input.maybe in ['a', 'b'] else ''", []),
    ("input.maybe.lower() if input.maybe in ['a', null] else ''", ["type.maybe-null"]),
    ("input.maybe.lower() if input.maybe not in ['a', 'b'] else ''", ["type.maybe-null"]),
    ("input.point.y if input.point.y in [1, 2] else 0", ["type.maybe-missing"]),
]

CALLS = [
    ("len(input.n)", ["type.operand"]),
    ("len(input.list) + 1", []),
    ("input.n.lower()", ["type.operand"]),
    ("lower(input.n)", ["type.operand"]),
    ("str(input.list)", ["type.operand"]),
    ("json(input.list).lower()", []),
    ("parse_json(input.s).x.y", []),
    ("parse_json(input.n)", ["type.operand"]),
    ("sum(input.list) + 1", []),
    ("sum(input.names)", ["type.operand"]),
    ("sum([str(x) for x in input.list])", ["type.maybe-mismatch"]),
    ("join(input.names, ', ')", []),
    ("', '.join(input.names)", []),
    ("join(input.list)", ["type.maybe-mismatch"]),
    ("join(input.n)", ["type.operand"]),
    ("input.s.join(',')", ["type.operand"]),
    ("join(input.any, input.n)", ["type.operand"]),
    ("input.either.join(',')", ["type.operand"]),
    ("join(input.names, input.maybe)", ["type.maybe-null"]),
    ("join(input.any, input.any)", []),
    ("input.s.join(input.any)", []),
    ("max(input.list) + 1", []),
    ("max(input.n, input.s)", ["type.operand"]),
    ("max(input.n, input.x) + 1", []),
    ("max(input.n, input.either)", ["type.maybe-mismatch"]),
    ("max([input.n, input.s])", ["type.operand"]),
    ("min([input.n, input.x])", []),
    ("sorted([input.s, 1])", ["type.operand"]),
    ("sorted([input.either, 1])", ["type.maybe-mismatch"]),
    ("max([input.either])", []),
    ("sorted(input.names + input.list)", ["type.maybe-mismatch"]),
    ("sorted(input.names if input.b else input.list)", []),
    ("sorted([])", []),
    ("flatten([input.list, [1]])[0] + 'a'", ["type.maybe-missing", "type.operand"]),
    ("flatten([input.s])", ["type.operand"]),
    ("flatten([[1], null])", ["type.maybe-null"]),
    ("range(input.s)", ["type.operand"]),
    ("range(3)[0] + 'a'", ["type.maybe-missing", "type.operand"]),
    ("max([])", ["type.operand"]),
    ("min([] if input.b else [])", ["type.operand"]),
    ("max(input.list ?? [])", []),
    ("sorted(input.list)[0] + 1", ["type.maybe-missing"]),
    ("round(input.x) + 1", []),
    ("round(input.s)", ["type.operand"]),
    ("keys(input.map).join()", []),
    ("keys(input.list)", ["type.operand"]),
    ("sum(values(input.map))", []),
    ("input.map.get('a', 0) + 1", []),
    ("input.map.get('a') + 1", ["type.maybe-null"]),
    ("get(input.n, 'a')", ["type.operand"]),
    ("input.s.split(',')[0].lower() ?? ''", []),
    ("any([x > 1 for x in input.list])", []),
    ("any(input.list)", ["type.maybe-mismatch"]),
    ("[x.y for x in input.list]", ["type.no-field"]),
    ("[x + 1 for x in input.list if x]", ["type.operand"]),
    ("[k.lower() for k in input.map]", []),
    ("[x for x in input.s]", ["type.operand"]),
    ("[p.nam for p in nodes.f.output.people]", ["type.unknown-field"]),
    ("[p.name for p in nodes.f.output.people if p.age > 3]", []),
    ("[p.email.lower() for p in nodes.f.output.people if p.email != null]", []),
    ("[p.email.lower() for p in nodes.f.output.people]", ["type.maybe-null"]),
]


@pytest.mark.parametrize(
    ("source", "expected"), FIELDS + OPERATORS + CALLS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_inside_an_expression(issues_of, source, expected):
    nodes = [{"id": "f", "type": "t.fetch"}, {"id": "a", "type": "t.any", "params": {"value": "${{ " + source + " }}"}}]
    document = {"input_schema": INPUT, "nodes": nodes, "edges": [{"from": "f", "to": "a"}]}
    assert sorted(issue.code for issue in issues_of(document)) == sorted(expected)


PLACES = [
    ("text", "input.s", []),
    ("text", "input.n", ["type.mismatch"]),
    ("text", "input.maybe", ["type.maybe-null"]),
    ("text", "input.maybe ?? ''", []),
    ("text", "input.either", ["type.maybe-mismatch"]),
    ("text", "input.any", []),
    ("text", "n is ${{ input.n }}", []),
    ("number", "input.n", []),
    ("number", "input.s", ["type.mismatch"]),
    ("number", "input.n / 2", []),
    ("number", "${{ input.n }} pieces", ["type.mismatch"]),
    ("count", "input.x", ["type.maybe-mismatch"]),
    ("count", "input.n // 2", ["type.maybe-mismatch"]),
    ("count", "-5", ["type.mismatch"]),
    ("count", "len(input.list) + 1", ["type.maybe-mismatch"]),
    ("count", "3", []),
    ("flag", "input.b", []),
    ("flag", "input.n > 1", []),
    ("flag", "input.n", ["type.mismatch"]),
    ("flag", "'true'", ["type.mismatch"]),
    ("texts", "input.names", []),
    ("texts", "input.list", ["type.maybe-mismatch"]),
    ("texts", "[1]", ["type.mismatch"]),
    ("texts", "input.s", ["type.mismatch"]),
    ("choice", "input.color", ["type.mismatch"]),
    ("choice", "'new' if input.b else 'done'", []),
    ("choice", "input.s", ["type.maybe-mismatch"]),
    ("choice", "input.s if input.s in ['new', 'lost'] else 'done'", []),
    ("choice", "input.s if input.s in ['new', 'old'] else 'done'", ["type.maybe-mismatch"]),
    ("choice", "input.s if input.s == 'new' else 'done'", []),
    ("text", "input.none if input.none != null else 5", ["type.mismatch"]),
    ("text", "input.none ?? 5", ["type.mismatch"]),
    ("text", "input.point.y", ["type.mismatch", "type.maybe-missing"]),
    ("number", "input.tree.next.value", ["type.maybe-null"]),
    ("text", "input.tree.next.value", ["type.mismatch", "type.maybe-null"]),
    ("person", "null", []),
    ("person", "{'name': input.s, 'age': input.n}", []),
    ("person", "{'name': input.s}", ["type.mismatch"]),
    ("person", "{'name': input.s, 'age': input.s}", ["type.mismatch"]),
    ("person", "{'name': input.s, 'age': input.n, 'size': 1}", ["type.mismatch"]),
    ("value", "input", []),
    ("value", "a ${{ input.none }}", ["template.null"]),
    ("value", "a ${{ input.list }}", ["template.object"]),
    ("value", "a ${{ input.point }}", ["template.object"]),
    ("value", "a ${{ json(input.point) }}", []),
    ("value", "a ${{ input.maybe }}", ["type.maybe-null"]),
    ("value", "a ${{ input.n }} ${{ input.x }} ${{ input.b }}", []),
    ("value", "a ${{ [1] if input.b else 'b' }}", ["type.maybe-mismatch"]),
]


@pytest.mark.parametrize(("param", "source", "expected"), PLACES, ids=lambda v: v if isinstance(v, str) else "")
def test_in_a_place(found, param, source, expected):
    assert found(source, param) == expected


@pytest.mark.parametrize(
    ("param", "source", "hint"),
    [
        ("number", "input.s", "float(…)"),
        ("text", "input.n", "str(…)"),
        ("text", "input.list", "json(…)"),
        ("text", "input.maybe", "??"),
        ("flag", "input.s", "Compare"),
        ("number", "${{ input.n }} pieces", None),
    ],
)
def test_the_hint_says_what_to_write(issues_of, param, source, hint):
    written = source if "${{" in source else "${{ " + source + " }}"
    document = {"input_schema": INPUT, "nodes": [{"id": "a", "type": "t.take", "params": {param: written}}]}
    (issue,) = issues_of(document)
    assert issue.hint is None if hint is None else hint in issue.hint


def test_inside_lists_and_objects(issues_of):
    params = {"texts": ["a", "${{ input.n }}"], "person": {"name": "${{ input.n }}", "age": "${{ input.n }}"}}
    document = {"input_schema": INPUT, "nodes": [{"id": "a", "type": "t.take", "params": params}]}
    found = [(issue.code, issue.pointer) for issue in issues_of(document)]
    assert found == [
        ("type.mismatch", "/nodes/0/params/texts/1"),
        ("type.mismatch", "/nodes/0/params/person/name"),
    ]


def test_outputs_that_depend_on_params(found):
    shape = {"type": "object", "properties": {"k": {"type": "integer"}}, "additionalProperties": False}
    nodes = [
        {"id": "e", "type": "t.echo", "params": {"shape": shape}},
        {"id": "a", "type": "t.any", "params": {"value": "${{ nodes.e.output.j }}"}},
    ]
    assert found("", nodes=nodes, edges=[{"from": "e", "to": "a"}]) == ["type.unknown-field"]


def test_a_declared_output_takes_part(issues_of):
    shape = {"type": "object", "properties": {"k": {"type": "integer"}}, "required": ["k"]}
    nodes = [
        {"id": "e", "type": "t.any", "output_schema": shape},
        {"id": "a", "type": "t.take", "params": {"text": "${{ nodes.e.output.k }}"}},
    ]
    found = issues_of({"nodes": nodes, "edges": [{"from": "e", "to": "a"}]})
    assert [issue.code for issue in found] == ["type.mismatch"]


def test_a_declared_output_that_the_type_never_gives(codes_of):
    nodes = [{"id": "e", "type": "t.add", "params": {"n": 1}, "output_schema": {"type": "string"}}]
    assert codes_of({"nodes": nodes}) == [("type.mismatch", "/nodes/0/output_schema")]


WANTED = {"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}}, "required": ["id"]}
BELL = {"id": "bell", "type": "t.bell"}


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ({"input": {"id": 1}}, []),
        ({"input": {"id": "one"}}, [("type.mismatch", "/triggers/0/input/id")]),
        ({"input": {}}, [("type.mismatch", "/triggers/0/input")]),
        ({"input": {"id": "${{ trigger.body.id }}"}}, []),
        ({"input": {"id": "${{ trigger.method }}"}}, [("type.mismatch", "/triggers/0/input/id")]),
        ({"input": {"note": "${{ trigger.method }}"}}, [("type.mismatch", "/triggers/0/input")]),
        ({"input": {"id": 1, "note": "${{ trigger.mehtod }}"}}, [("type.unknown-field", "/triggers/0/input/note")]),
        ({"input": "${{ trigger.body }}"}, []),
        ({"input": "${{ trigger.method }}"}, [("type.mismatch", "/triggers/0/input")]),
        ({}, [("type.mismatch", "/triggers/0")]),
    ],
)
def test_what_a_trigger_passes_on_fits_the_input(codes_of, trigger, expected):
    found = codes_of(
        {"input_schema": WANTED, "nodes": [{"id": "a", "type": "t.any"}], "triggers": [{**BELL, **trigger}]}
    )
    assert found == expected


def test_the_trigger_is_null_for_other_starts(issues_of):
    nodes = [{"id": "a", "type": "t.any", "params": {"value": "${{ trigger.method }}"}}]
    assert [i.code for i in issues_of({"nodes": nodes})] == ["type.no-field"]
    assert [i.code for i in issues_of({"nodes": nodes, "triggers": [BELL]})] == ["type.maybe-null"]
    nodes[0]["params"]["value"] = "${{ trigger?.method ?? 'none' }}"
    assert issues_of({"nodes": nodes, "triggers": [BELL]}) == []


def test_a_wrong_reference_says_nothing_of_types(codes_of):
    nodes = [{"id": "a", "type": "t.take", "params": {"number": "${{ nodes.b.output + 'x' + input.z }}"}}]
    found = codes_of({"input_schema": INPUT, "nodes": nodes})
    assert found == [("ref.unknown-node", "/nodes/0/params/number")]


def test_spans_lie_where_the_problem_is(issues_of):
    text = "Hello ${{ input.s }}, you are ${{ input.n.years }} and ${{ input.list }}"
    document = {"input_schema": INPUT, "nodes": [{"id": "a", "type": "t.any", "params": {"value": text}}]}
    assert [text[slice(*i.span)] for i in issues_of(document)] == ["input.n.years", "${{ input.list }}"]
