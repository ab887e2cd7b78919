"""Run conditions agree with walking the graph once for every combination of ways to leave its nodes."""

from itertools import product

import pytest
from aicflow.kernel.graph import Graph, Walk
from aicflow.language.validation.cycles import cycles
from aicflow.language.validation.paths import END, Paths
from hypothesis import given, settings
from hypothesis import strategies as st

PORTS = (("main",), ("true", "false"), ("a", "b", "c"))


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 6))
    ports = [draw(st.sampled_from(PORTS)) for _ in range(count)]
    ways = [
        (source, port, target)
        for source in range(count)
        for target in range(source + 1, count)
        for port in (*ports[source], "error", "unknown")
    ]
    edges = draw(st.lists(st.sampled_from(ways), max_size=10, unique=True))
    always = draw(st.just(frozenset()) | st.frozensets(st.integers(1, count - 1), max_size=2))
    return ports, edges, always


def walks(ports, edges, always):
    """For every combination of outcomes: the graph, which nodes ran, and how each was left."""
    graph = Graph.build([f"n{i}" for i in range(len(ports))], edges, always)
    caught = {source for source, port, target in edges if port == "error" and target not in always}
    exits = [[*own, *(["error"] if i in caught else [])] for i, own in enumerate(ports)]
    for outcome in product(*exits):
        walk = Walk(graph)
        ran = set()
        waiting = walk.start()
        while waiting:
            node = waiting.pop()
            ran.add(node)
            ready, _ = walk.settle(node, (outcome[node],))
            waiting += ready
        yield ran, outcome


def before(edges, one, other):
    return any(s == one and (t == other or before(edges, t, other)) for s, _, t in edges)


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_every_answer_is_that_of_all_walks(made):
    ports, edges, always = made
    graph = Graph.build([f"n{i}" for i in range(len(ports))], edges, always)
    paths = Paths(graph, ports)
    all_walks = list(walks(ports, edges, always))
    for other in (*range(len(ports)), END):
        if other != END:
            assert paths.never_runs(other) == (not any(other in ran for ran, _ in all_walks))
        reached = [(ran, outcome) for ran, outcome in all_walks if other == END or other in ran]
        for one in range(len(ports)):
            assert paths.is_before(one, other) == (other == END or before(edges, one, other))
            if one == other or not paths.is_before(one, other):
                continue
            way = paths.way_without(one, other)
            missed = [(ran, outcome) for ran, outcome in reached if one not in ran]
            assert (way is not None) == bool(missed)
            if way is not None:  # an execution can go the way that is told
                assert any(all(node in ran and outcome[node] == port for node, port in way) for ran, outcome in missed)
            failures = {one in ran and outcome[one] == "error" for ran, outcome in reached}
            expected = "never" if True not in failures else "always" if False not in failures else "maybe"
            assert paths.failed(one, other) == expected


@settings(max_examples=100, deadline=None)
@given(graphs(), st.integers(0, 12))
def test_out_of_budget_nothing_wrong_is_claimed(made, budget):
    ports, edges, always = made
    graph = Graph.build([f"n{i}" for i in range(len(ports))], edges, always)
    paths = Paths(graph, ports, budget)
    sure = Paths(graph, ports)
    for other in (*range(len(ports)), END):
        for one in range(len(ports)):
            if one != other and sure.is_before(one, other):
                if paths.way_without(one, other) is not None:
                    assert sure.way_without(one, other) is not None
                assert paths.failed(one, other) in ("unknown", sure.failed(one, other))


def build(count, edges, ports=None):
    return Paths(Graph.build([f"n{i}" for i in range(count)], edges), ports or [("main",)] * count)


def test_a_fork_that_joins_again_is_no_branch():
    """Plain dominance is wrong here: neither way dominates the join, and both always run."""
    paths = build(4, [(0, "main", 1), (0, "main", 2), (1, "main", 3), (2, "main", 3)])
    assert paths.way_without(1, 3) is None
    assert paths.way_without(2, 3) is None


def test_two_branches_of_one_decision_make_a_whole():
    ports = [("true", "false"), ("main",), ("main",), ("main",)]
    paths = build(4, [(0, "true", 1), (0, "false", 2), (1, "main", 3), (2, "main", 3)], ports)
    assert paths.way_without(0, 3) is None
    assert paths.way_without(1, 3) == [(0, "false")]


def test_behind_the_same_branch():
    ports = [("true", "false"), ("main",), ("main",), ("main",)]
    edges = [(0, "true", 1), (0, "true", 2), (1, "main", 3), (2, "main", 3)]
    assert build(4, edges, ports).way_without(1, 3) is None


@pytest.mark.parametrize("by", ["main", "error"])
def test_a_caught_failure_is_known_on_each_side(by):
    paths = build(3, [(0, "main", 1), (0, "error", 2)])
    assert paths.failed(0, 1) == "never"
    assert paths.failed(0, 2) == "always"
    assert paths.failed(0, END) == "maybe"


def test_a_long_row_of_decisions_stays_small():
    """Two thousand in a row, joined after each, and as a ladder whose rungs all lead to one end."""
    count = 2_000
    edges, ports = [], []
    for k in range(count):
        base = 3 * k
        ports += [("true", "false"), ("main",), ("main",)]
        edges += [(base, "true", base + 1), (base, "false", base + 2)]
        edges += [(base + 1, "main", base + 3), (base + 2, "main", base + 3)]
    ports.append(("main",))
    paths = build(3 * count + 1, edges, ports)
    assert paths.way_without(0, 3 * count) is None
    assert paths.way_without(3 * (count - 1) + 1, 3 * count) == [(3 * (count - 1), "false")]
    ladder = [(k, "true", k + 1) for k in range(count)] + [(k, "false", count + 1) for k in range(count)]
    ladder.append((count, "main", count + 1))
    paths = build(count + 2, ladder, [("true", "false")] * count + [("main",), ("main",)])
    assert paths.way_without(0, count + 1) is None
    assert paths.way_without(count, count + 1) is not None
    assert paths.way_without(count - 1, count) is None


def test_a_switch_with_a_thousand_cases():
    count = 1_000
    cases = tuple(f"c{k}" for k in range(count))
    edges = [(0, f"c{k}", k + 1) for k in range(count)] + [(k + 1, "main", count + 1) for k in range(count)]
    paths = build(count + 2, edges, [cases] + [("main",)] * (count + 1))
    assert paths.way_without(0, count + 1) is None
    assert paths.way_without(7, count + 1) is not None
    assert not paths.never_runs(count + 1)
    some = build(count + 2, edges, [(*cases, "default")] + [("main",)] * (count + 1))
    assert some.way_without(count + 1, END) == [(0, "default")]


def test_edges_that_close_cycles_are_found_in_one_walk():
    """Each is named with its cycle, and without them the graph can be walked."""
    edges = [(0, "main", 1), (1, "main", 2), (2, "main", 1), (2, "a", 0), (3, "main", 3), (0, "main", 3)]
    assert cycles(4, edges) == {2: [1, 2], 3: [0, 1, 2], 4: [3]}
    Graph.build("abcd", [edge for place, edge in enumerate(edges) if place not in cycles(4, edges)])
    long = [(k, "main", (k + 1) % 100) for k in range(100)]
    assert cycles(100, long) == {99: list(range(21))}
