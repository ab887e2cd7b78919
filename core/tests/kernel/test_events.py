"""Events as bytes, and the history they tell; graphs, ids, pointers, times."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from aicflow.engine.history import fold
from aicflow.engine.ids import new_id
from aicflow.events import decode_event, encode_delta, encode_event, event_type
from aicflow.kernel.clock import iso
from aicflow.kernel.graph import Graph, GraphError
from aicflow.kernel.ids import is_identifier, is_type_id
from aicflow.kernel.values import dumps, loads, pointer
from aicflow.language.validation.cycles import cycles
from aicflow_language.suggest import did_you_mean
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON)
def test_json_values_survive_the_way_through_bytes(value: Any) -> None:
    assert loads(dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": {"b": float("-inf")}}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        dumps(value)
    assert loads(dumps("NaN and Infinity are words")) == "NaN and Infinity are words"
    with pytest.raises(ValueError):
        loads("[NaN]")


@given(data=st.dictionaries(st.text(), JSON, max_size=4), now=st.floats(0, 4e9))
def test_an_event_is_read_as_it_was_written(data: dict[str, Any], now: float) -> None:
    encoded = encode_event(7, now, "step.log", "ex_1", "node_1", 2, data)
    assert b"\n" not in encoded
    event = decode_event(encoded)
    assert (event.seq, event.type, event.execution_id, event.node_id, event.attempt) == (
        7,
        "step.log",
        "ex_1",
        "node_1",
        2,
    )
    assert event.data == data
    assert event_type(encoded) == "step.log"
    assert abs(datetime.fromisoformat(event.time).timestamp() - now) < 1e-5


def test_the_type_is_not_mistaken_for_data() -> None:
    hostile = encode_event(1, 0, "step.log", "ex_1", "n", 1, {"message": '"type":"execution.succeeded"'})
    assert event_type(hostile) == "step.log"
    assert json.loads(encode_delta("ex_1", "n", 1, "text")) == {
        "type": "step.delta",
        "execution_id": "ex_1",
        "node_id": "n",
        "attempt": 1,
        "data": "text",
    }


def test_a_history_is_folded_from_events() -> None:
    def event(seq: int, kind: str, node: str | None = None, attempt: int | None = None, **data: Any) -> bytes:
        return encode_event(seq, float(seq), kind, "ex", node, attempt, data)

    error = {"code": "timeout", "message": "too late"}
    events = [
        event(1, "execution.queued"),
        event(2, "execution.started"),
        event(3, "step.started", "a", 1),
        event(4, "step.log", "a", 1, message="hello"),
        event(5, "step.retrying", "a", 1, retry_at=9.0, error=error),
        event(6, "step.started", "a", 2),
        event(7, "step.succeeded", "a", 2, port="main", output_stored=True),
        event(8, "step.started", "b", 1),
        event(9, "step.failed", "b", 1, error=error),
        event(10, "step.skipped", "c"),
        event(11, "step.started", "w", 1),
        event(12, "step.waiting", "w", 1, reason="answer"),
    ]
    history = fold(events, {"a": b'{"big":true}'})
    steps = history.steps
    assert {name: step.status for name, step in steps.items()} == {
        "a": "succeeded",
        "b": "failed",
        "c": "skipped",
        "w": "waiting",
    }
    assert (steps["a"].attempt, steps["a"].output, steps["a"].logs, steps["a"].port) == (2, {"big": True}, 1, "main")
    assert steps["b"].error is not None
    assert steps["b"].error.message == "too late"
    assert steps["c"].started_at is None
    assert history.last_seq == 12
    assert not history.ended
    assert fold([*events, event(13, "execution.cancelled")]).ended


def test_a_cycle_is_named_in_its_direction() -> None:
    edges = [(0, "main", 1), (1, "main", 2), (2, "main", 3), (3, "main", 1), (3, "main", 4)]
    assert cycles(5, edges) == {3: [1, 2, 3]}
    assert cycles(1, [(0, "main", 0)]) == {0: [0]}
    with pytest.raises(GraphError):
        Graph.build(["in", "a", "b", "c", "out"], edges)


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_order_of_a_graph_respects_its_edges(count: int, chance: Any) -> None:
    edges = [(i, "main", j) for j in range(count) for i in range(j) if chance.random() < 0.2]
    graph = Graph.build([f"n{i}" for i in range(count)], edges)
    place = {node: at for at, node in enumerate(graph.order)}
    assert sorted(graph.order) == list(range(count))
    assert all(place[source] < place[target] for source, _, target in edges)


def test_ids_sort_by_time_and_never_repeat() -> None:
    now = time.time()
    early, late = new_id("ex", now), new_id("ex", now + 0.01)
    assert early < late
    assert len({new_id("ex", now) for _ in range(10_000)}) == 10_000
    assert len(early) == 29


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a", True),
        ("_a1", True),
        ("1a", False),
        ("a-b", False),
        ("", False),
        ("ä", False),
        ("a" * 65, False),
        ("a\n", False),
    ],
)
def test_identifiers(text: str, good: bool) -> None:
    assert is_identifier(text) is good
    assert is_type_id("http.request")
    assert not is_type_id("Http.request")
    assert not is_type_id("http..request")


def test_pointers_times_and_suggestions() -> None:
    assert pointer("nodes", 0, "a/b~c") == "/nodes/0/a~1b~0c"
    assert iso(0) == "1970-01-01T00:00:00.000000Z"
    assert datetime.fromisoformat(iso(1e9)).tzinfo == UTC
    assert did_you_mean("retri", ["retry", "params"]) == "Did you mean 'retry'?"
    assert did_you_mean("zzz", ["retry"]) is None
