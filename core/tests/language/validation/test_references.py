"""References to what is not there, not yet there, or not always there."""

import pytest

NODES = [
    {"id": "fetch", "type": "t.fetch"},
    {"id": "gate", "type": "t.if", "params": {"condition": "${{ nodes.fetch.output.ok }}"}},
    {"id": "yes", "type": "t.fetch"},
    {"id": "join", "type": "t.any"},
    {"id": "beside", "type": "t.any"},
    {"id": "caught", "type": "t.any"},
]
EDGES = [
    {"from": "fetch", "to": "gate"},
    {"from": "gate", "port": "true", "to": "yes"},
    {"from": "yes", "to": "join"},
    {"from": "gate", "port": "false", "to": "join"},
    {"from": "fetch", "port": "error", "to": "caught"},
]


@pytest.fixture
def at(issues_of):
    """What is found when the expression is the `value` of a node, or the output."""

    def look(place, source, **parts):
        document = {
            "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "vars": {"limit": 3, "nested": {"deep": [1, {"x": "y"}]}},
            "triggers": [{"id": "bell", "type": "t.bell", "input": {"n": 1}}],
            "nodes": NODES,
            "edges": EDGES,
            **parts,
        }
        written = "${{ " + source + " }}"
        if place == "output":
            document["output"] = written
        else:
            nodes = [dict(node) for node in document["nodes"]]
            target = next(node for node in nodes if node["id"] == place)
            target["params"] = {**target.get("params", {}), "value": written}
            document["nodes"] = nodes
        return [(i.code, i.severity) for i in issues_of(document) if "never runs" not in i.message]

    return look


ERROR = "error"
CASES = [
    ("join", "nodes.fetch.output.ok", []),
    ("join", 'nodes["fetch"].output["ok"]', []),
    ("join", "nodes.ftech.output", ["ref.unknown-node"]),
    ("join", "nodes.ftech?.output ?? 1", ["ref.unknown-node"]),
    ("join", "nodes.bell.output", ["ref.unknown-node"]),
    ("join", "nodes[0].output", ["ref.unknown-node"]),
    ("join", "nodes.join.output", ["ref.self"]),
    ("yes", "nodes.join.output", ["ref.downstream"]),
    ("join", "nodes.beside.output", ["ref.not-upstream"]),
    ("join", "nodes.beside?.output ?? 1", ["ref.not-upstream"]),
    ("join", "nodes.yes.output", ["ref.not-on-every-path"]),
    ("join", "nodes.yes", ["ref.not-on-every-path"]),
    ("join", "nodes?.yes.output", ["ref.not-on-every-path"]),
    ("join", "nodes.yes.output?.ok", ["ref.not-on-every-path"]),
    ("join", "[nodes.yes.output, 1]", ["ref.not-on-every-path"]),
    ("join", "nodes.yes?.output", []),
    ("join", "nodes.yes?.output.people[0].name ?? 'nobody'", []),
    ("join", "nodes.yes.output ?? 1", []),
    ("join", "nodes.yes?.output ?? nodes.fetch.output", []),
    ("join", "input.n ?? nodes.yes.output", ["ref.not-on-every-path"]),
    ("join", "has(nodes.yes.output)", []),
    ("join", "nodes.yes.output.ok if has(nodes.yes) else false", []),
    ("join", "false if not has(nodes.yes.output) else nodes.yes.output.ok", []),
    ("join", "has(nodes.yes) and nodes.yes.output.ok", []),
    ("join", "nodes.yes.output.ok if has(nodes.yes) and input.n > 1 else false", []),
    ("join", "nodes.yes.output.ok if has(nodes.yes) or input.n > 1 else false", ["ref.not-on-every-path"]),
    ("join", "true if not has(nodes.yes) or input.n > 1 else nodes.yes.output.ok", []),
    ("join", "true if not has(nodes.yes) and input.n > 1 else nodes.yes.output.ok", ["ref.not-on-every-path"]),
    ("join", "not has(nodes.yes) or nodes.yes.output.ok", []),
    ("join", "has(nodes.yes) or nodes.yes.output.ok", ["ref.not-on-every-path"]),
    ("join", "nodes.yes?.output != null and nodes.yes.output.ok", []),
    ("join", "nodes.yes?.output == null or nodes.yes.output.ok", []),
    ("join", "[nodes.yes.output.ok for x in [1] if has(nodes.yes)]", []),
    ("join", "[nodes.output for nodes in [{'output': 1}]]", []),
    ("join", "nodes", ["ref.whole-graph"]),
    ("join", "nodes[input.n].output", ["ref.whole-graph"]),
    ("join", "nodes.keys()", ["ref.whole-graph"]),
    ("join", "keys(nodes)", ["ref.whole-graph"]),
    ("join", "nodes.fetch.ok", ["ref.unknown-name"]),
    ("join", "nodes.fetch.outptu.ok", ["ref.unknown-name"]),
    ("join", "vars.limit + vars.nested.deep[0]", []),
    ("join", "vars.limt", ["ref.unknown-name"]),
    ("join", "vars.limt ?? 1", ["ref.unknown-name"]),
    ("join", "vars.nested.deep[1].z", ["type.unknown-field"]),
    ("join", "vars.nested.deeep", ["type.unknown-field"]),
    ("join", "execution.id + execution.started_at", []),
    ("join", "execution.attempt > 1", []),
    ("join", "execution.idd", ["ref.unknown-name"]),
    ("join", "inptu.n", ["ref.unknown-name"]),
    ("join", "trigger?.body", []),
    ("caught", "nodes.fetch.error.message", []),
    ("caught", "nodes.fetch.error.mesage", ["type.unknown-field"]),
    ("caught", "nodes.fetch.output.ok", ["type.no-field"]),
    ("gate", "nodes.fetch.error.message", ["param.unknown", "type.unknown-field"]),
    ("join", "nodes.fetch.error?.message", [("type.undeclared-field", "warning")]),
    ("output", "nodes.fetch.output", []),
    ("output", "nodes.beside.output", []),
    ("output", "nodes.gate.output", ["ref.not-on-every-path"]),
    ("output", "nodes.yes.output", ["ref.not-on-every-path"]),
    ("output", "nodes.yes?.output.ok", []),
    ("output", "nodes.fetch.output.ok", [("type.maybe-null", "warning")]),
    ("output", "nodes.fetch.output?.ok", []),
    ("output", "nodes.fetch.error.message", ["ref.not-on-every-path"]),
    ("output", "nodes.fetch.error?.message", []),
    ("output", "secrets.KEY", ["ref.unknown-name", "secret.not-allowed"]),
    ("output", "input.n + vars.limit", []),
]


@pytest.mark.parametrize(("place", "source", "expected"), CASES, ids=[f"{p}: {s}" for p, s, _ in CASES])
def test_references(at, place, source, expected):
    wanted = sorted(item if isinstance(item, tuple) else (item, ERROR) for item in expected)
    assert sorted(at(place, source)) == wanted


def test_on_error_continue_gives_null_and_an_error(at):
    nodes = [{"id": "fetch", "type": "t.fetch", "on_error": "continue"}, {"id": "join", "type": "t.any"}]
    parts = {"nodes": nodes, "edges": [{"from": "fetch", "to": "join"}]}
    assert at("join", "nodes.fetch.output.ok", **parts) == [("type.maybe-null", "warning")]
    assert at("join", "nodes.fetch.output?.ok", **parts) == []
    assert at("join", "nodes.fetch.error.code", **parts) == [("ref.not-on-every-path", "error")]
    assert at("join", "nodes.fetch.error?.code ?? 'fine'", **parts) == []
    assert at("join", "nodes.fetch.error.code if has(nodes.fetch.error) else 'fine'", **parts) == []


def test_continue_needs_one_way_to_go_on(codes_of):
    """f4.yaml: a failed condition must not go on as if it had come out true."""
    gate = {"id": "gate", "type": "t.if", "params": {"condition": True}, "on_error": "continue"}
    nodes = [gate, {"id": "yes", "type": "t.any"}, {"id": "no", "type": "t.any"}]
    edges = [{"from": "gate", "port": "true", "to": "yes"}, {"from": "gate", "port": "false", "to": "no"}]
    assert codes_of({"nodes": nodes, "edges": edges}) == [("node.continue-port", "/nodes/0/on_error")]
    caught = [*edges, {"from": "gate", "port": "error", "to": "no"}]
    assert codes_of({"nodes": nodes, "edges": caught}) == []


@pytest.mark.parametrize(
    ("kind", "on", "expected"),
    [
        ("t.fetch", ["*", "timeout", "output-invalid", "ValueError", "TransientError", "OSError"], []),
        ("t.fetch", ["fetch-broken"], [("node.unknown-error", "error")]),
        ("t.any", ["any-broken"], []),
        ("t.any", ["anybroken", "ValueErorr"], [("node.unknown-error", "error")] * 2),
        ("t.take", ["may-be", "ValueErorr"], [("node.unknown-error", "warning")] * 2),
    ],
)
def test_names_in_retry_on(issues_of, kind, on, expected):
    found = issues_of({"nodes": [{"id": "a", "type": kind, "retry": {"on": on}}]})
    assert [(issue.code, issue.severity) for issue in found] == expected
    assert all(issue.hint for issue in found)


def test_what_always_runs_may_read_what_has_not_finished(at):
    nodes = [
        {"id": "fetch", "type": "t.fetch"},
        {"id": "tidy", "type": "t.any", "run": "always"},
        {"id": "after", "type": "t.any"},
    ]
    edges = [{"from": "fetch", "to": "tidy"}, {"from": "tidy", "to": "after"}]
    parts = {"nodes": nodes, "edges": edges}
    for place in ("tidy", "after"):
        assert at(place, "nodes.fetch.output.ok", **parts) == [("ref.not-on-every-path", "error")]
        assert at(place, "nodes.fetch?.output.ok", **parts) == [("type.maybe-null", "warning")]
        assert at(place, "nodes.fetch?.output?.ok", **parts) == []
        assert at(place, "nodes.fetch?.error?.message", **parts) == []
    assert at("after", "nodes.tidy.output", **parts) == []
    assert at("output", "nodes.fetch.output.ok", **parts) == []


def test_an_edge_by_error_to_what_always_runs_catches_nothing(at):
    nodes = [{"id": "fetch", "type": "t.fetch"}, {"id": "tidy", "type": "t.any", "run": "always"}]
    parts = {"nodes": nodes, "edges": [{"from": "fetch", "port": "error", "to": "tidy"}]}
    assert at("output", "nodes.fetch.output.ok", **parts) == []


def test_each_place_has_its_names(codes_of):
    found = codes_of(
        {
            "input_schema": {"type": "object"},
            "vars": {"a": "b"},
            "nodes": [{"id": "one", "type": "t.any"}],
            "triggers": [
                {
                    "id": "bell",
                    "type": "t.bell",
                    "params": {"value": "${{ vars.a + input.b + trigger.c }}"},
                    "input": {"x": "${{ trigger.body }}", "y": "${{ nodes.one.output }}", "z": "${{ input }}"},
                }
            ],
            "settings": {"concurrency": {"key": "${{ input.a }}-${{ trigger.body }}-${{ nodes.one.output }}"}},
        }
    )
    assert [found[0], found[1]] == [("ref.unknown-name", "/triggers/0/params/value")] * 2
    assert ("ref.unknown-name", "/triggers/0/input/y") in found
    assert ("ref.unknown-name", "/triggers/0/input/z") in found
    assert ("ref.unknown-name", "/settings/concurrency/key") in found
    assert not [pointer for _, pointer in found if pointer.endswith("/x")]


def test_secrets_are_looked_up_when_their_names_are_known(codes_of):
    document = {"nodes": [{"id": "a", "type": "t.take", "params": {"secret": "Bearer ${{ secrets.TOKE }}"}}]}
    assert codes_of(document) == []
    assert codes_of(document, secret_names={"TOKEN"}) == [("ref.unknown-secret", "/nodes/0/params/secret")]
    assert codes_of(document, secret_names={"TOKE"}) == []


def test_an_edge_that_is_broken_is_told_once(codes_of):
    """A misspelt `from` is one mistake, not one for each reference behind it."""
    document = {
        "nodes": [
            {"id": "a", "type": "t.any"},
            {"id": "b", "type": "t.any", "params": {"value": "${{ nodes.a.output }}"}},
            {"id": "c", "type": "t.any", "params": {"value": "${{ nodes.a.output }}"}},
        ],
        "edges": [{"from": "aa", "to": "b"}, {"from": "b", "to": "c"}],
    }
    assert codes_of(document) == [("edge.unknown-node", "/edges/0/from")]


def test_a_node_that_can_never_run(codes_of):
    document = {
        "nodes": [{"id": name, "type": "t.any"} for name in "abc"],
        "edges": [{"from": "a", "port": "nowhere", "to": "b"}, {"from": "b", "to": "c"}],
    }
    assert codes_of(document) == [("graph.unreachable", "/nodes/1"), ("edge.unknown-port", "/edges/0/port")]


def test_a_cycle_leaves_other_references_checked(codes_of):
    document = {
        "nodes": [
            {"id": "a", "type": "t.any", "params": {"value": "${{ nodes.x.output }}"}},
            {"id": "b", "type": "t.any", "params": {"value": "${{ nodes.a.output }}"}},
        ],
        "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}],
    }
    assert codes_of(document) == [("ref.unknown-node", "/nodes/0/params/value"), ("graph.cycle", "/edges/1")]


def test_messages_say_which_way_and_what_to_write(issues_of):
    document = {
        "nodes": [
            {"id": "gate", "type": "t.if", "params": {"condition": True}},
            {"id": "yes", "type": "t.fetch"},
            {"id": "join", "type": "t.any", "params": {"value": "is ${{ nodes.yes.output.ok }}"}},
        ],
        "edges": [
            {"from": "gate", "port": "true", "to": "yes"},
            {"from": "yes", "to": "join"},
            {"from": "gate", "port": "false", "to": "join"},
        ],
    }
    (issue,) = issues_of(document)
    assert issue.message == "'yes' does not run on every path to 'join': not when 'gate' exits by 'false'."
    assert "nodes.yes?.output" in issue.hint
    text = document["nodes"][2]["params"]["value"]
    assert text[slice(*issue.span)] == "nodes.yes"


def test_every_cycle_is_told_and_what_else_is_wrong_on_the_ways(issues_of):
    document = {
        "nodes": [
            *({"id": name, "type": "t.any"} for name in "abcd"),
            {"id": "gate", "type": "t.if", "params": {"condition": True}},
            {"id": "yes", "type": "t.fetch"},
            {"id": "join", "type": "t.any", "params": {"value": "${{ nodes.yes.output.ok }}"}},
            {"id": "last", "type": "t.any", "params": {"value": "${{ nodes.join.output }}"}},
        ],
        "edges": [
            {"from": "a", "to": "b"},
            {"from": "b", "to": "a"},
            {"from": "c", "to": "d"},
            {"from": "d", "to": "d"},
            {"from": "d", "to": "c"},
            {"from": "gate", "port": "true", "to": "yes"},
            {"from": "yes", "to": "join"},
            {"from": "gate", "port": "false", "to": "join"},
            {"from": "join", "to": "gate"},
        ],
    }
    found = [(issue.code, issue.pointer) for issue in issues_of(document)]
    assert found == [
        ("ref.not-on-every-path", "/nodes/6/params/value"),
        ("ref.not-upstream", "/nodes/7/params/value"),
        *(("graph.cycle", f"/edges/{edge}") for edge in (1, 3, 4, 8)),
    ]


def test_a_failure_that_cannot_go_on_by_this_port_is_not_told_of(codes_of):
    """`on_error: continue` is refused on a node with several ports; that its output may be null is then no finding."""
    nodes = [
        {"id": "gate", "type": "t.if", "params": {"condition": True}, "on_error": "continue"},
        {"id": "b", "type": "t.any", "params": {"value": "${{ nodes.gate.output.ok }}"}},
    ]
    found = codes_of({"nodes": nodes, "edges": [{"from": "gate", "port": "false", "to": "b"}]})
    assert found == [("node.continue-port", "/nodes/0/on_error")]


def test_a_field_one_level_down_is_suggested(issues_of):
    shape = {
        "type": "object",
        "properties": {"body": {"type": "object", "properties": {"order_id": {"type": "integer"}}}, "ok": {}},
        "additionalProperties": False,
    }
    document = {
        "nodes": [
            {"id": "a", "type": "t.echo", "params": {"shape": shape}},
            {"id": "b", "type": "t.any", "params": {"value": "${{ nodes.a.output.order_id }}"}},
            {"id": "c", "type": "t.any", "params": {"value": "${{ nodes.a.output.total }}"}},
            {"id": "d", "type": "t.any", "params": {"value": "${{ nodes.f.output.zzz }}"}},
            {"id": "f", "type": "t.fetch"},
        ],
        "edges": [{"from": one, "to": two} for one, two in (("a", "b"), ("a", "c"), ("f", "d"))],
    }
    hints = [issue.hint for issue in issues_of(document)]
    assert hints == [
        "Did you mean nodes.a.output.body.order_id?",
        "Available fields: body, ok. If it is inside ok, write nodes.a.output.ok.total.",
        "Available fields: ok, status, people, extra.",
    ]
