"""How executions ended, as the API says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aicflow.statistics import HOUR, UNKNOWN_DURATION, group_of, quantile, seconds_of

from .conftest import ECHO, Host, problem

FAILS = {
    "aicflow": 1,
    "name": "fails",
    "nodes": [{"id": "bad", "type": "workflow.call", "params": {"workflow": "none", "input": None}}],
}


def test_quantiles_are_at_most_a_fifth_too_high() -> None:
    seconds = [0.01 * number for number in range(1, 1001)]
    durations: dict[int, int] = {UNKNOWN_DURATION: 50}
    for one in seconds:
        durations[group_of(one)] = durations.get(group_of(one), 0) + 1
    for part in (0.5, 0.95, 0.99, 1.0):
        exact, found = seconds[int(part * 1000) - 1], quantile(durations, part)
        assert found is not None
        assert exact <= found <= exact * 1.19
    assert quantile({UNKNOWN_DURATION: 3}, 0.5) is None
    assert seconds_of(group_of(0.0)) == 0.001


@pytest.mark.filterwarnings("ignore")
def test_the_figures_of_a_morning(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        echo, fails = host.save(ECHO)["id"], host.client.post("/workflows", json=FAILS)
        assert fails.status_code == 201, fails.text
        for _ in range(3):
            assert host.start(echo, {"n": 1})["status"] == "succeeded"
        last = [host.start(fails.json()["id"]) for _ in range(2)][-1]
        assert last["status"] == "failed"

        found = host.client.get("/statistics").json()
        assert (found["succeeded"], found["failed"], found["cancelled"]) == (3, 2, 0)
        assert 0 < found["p50"] <= found["p95"]
        assert [one["workflow_id"] for one in found["workflows"]] == [fails.json()["id"], echo]
        assert found["failures"] == [
            {
                "workflow_id": fails.json()["id"],
                "node_id": "bad",
                "code": last["error"]["code"],
                "count": 2,
                "last_execution_id": last["id"],
            }
        ]
        assert sum(point["succeeded"] for point in found["series"]) == 3
        assert found["step"] == HOUR
        assert len(found["series"]) in (24, 25)

        minutes = host.client.get("/statistics", params={"since": found["since"], "step": 60}).json()
        assert minutes["succeeded"] == 3
        assert len(minutes["series"]) > 1400
        one = host.client.get("/statistics", params={"workflow_id": echo}).json()
        assert (one["succeeded"], one["failed"], one["failures"]) == (3, 0, [])
        years = host.client.get("/statistics", params={"since": "2001-01-01T00:00:00Z"}).json()
        assert years["succeeded"] == 3
        assert years["step"] % 86_400 == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "must be before until"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-03T00:00:00Z", "step": 60}, "whole hours"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z", "step": HOUR}, "at most 1500 points"),
        ({"step": 61}, "multiple of 60"),
        ({"until": "9999-12-31T23:59:59Z"}, "1970 and 9998"),
        ({"until": "0001-01-01T12:00:00Z"}, "1970 and 9998"),
        ({"since": "yesterday"}, "since"),
        ({"from": "2026-01-01T00:00:00Z"}, "from"),
    ],
)
def test_times_that_cannot_be_shown_are_refused(host: Host, query: dict[str, Any], message: str) -> None:
    answer = host.client.get("/statistics", params=query)
    found = problem(answer, 422, "request-invalid")
    assert message in answer.text, found
