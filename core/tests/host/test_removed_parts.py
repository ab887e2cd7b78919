"""What retention has removed of an execution is told as such, at every door, and is never taken for an empty value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aicflow.host.settings import Settings
from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.removal import ExecutionPart
from aicflow_sdk import AICFlow, APIError

from .conftest import ECHO, Host, problem

FAR = 10.0**10


def remove(host: Host, part: ExecutionPart) -> None:
    while host.do(host.runtime.store.maintenance.remove_part(part, ended_before=FAR)):
        pass


@pytest.fixture(params=["memory://", None], ids=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, new_host: Callable[..., Any]) -> Any:
    with new_host(store=request.param) as host:
        host.save(ECHO, id="echo")
        yield host


@pytest.mark.parametrize("given", [{"name": "Ada"}, "Ada " * 20_000], ids=["small", "large"])
def test_without_payloads_an_execution_still_tells_what_ran(place: Host, given: Any) -> None:
    made = place.start("echo", given)
    path = f"/executions/{made['id']}"
    assert made["removed"] == []
    remove(place, "payloads")
    shown = place.client.get(path).json()
    assert shown["removed"] == ["payloads"]
    assert "input" not in shown
    assert "output" not in shown
    assert (shown["status"], shown["last_seq"]) == ("succeeded", made["last_seq"])
    assert [step["status"] for step in place.client.get(f"{path}/steps").json()["data"]] == ["succeeded"]
    events = place.client.get(f"{path}/events")
    assert len(events.json()["data"]) == made["last_seq"]
    assert "Ada" not in events.text
    for call in (f"{path}/steps?fields=output", f"{path}/steps/say/output"):
        assert "AICFLOW_PAYLOAD_AGE" in problem(place.client.get(call), 410, "removed")["hint"]
    for body in ({}, {"input": 1}, {"from_node": "say"}):
        assert "payloads" in problem(place.client.post(f"{path}/rerun", json=body), 410, "removed")["detail"]
    preview = {"expression": "input", "execution_id": made["id"]}
    problem(place.client.post("/workflows/echo/preview-expression", json=preview), 410, "removed")
    with AICFlow(place.url, api_key=place.key) as api:
        read = api.executions.get(made["id"])
        assert (read.removed, read.output_included) == (("payloads",), False)
        with pytest.raises(APIError, match="payloads"):
            api.executions.rerun(made["id"])


def test_without_events_an_execution_still_has_its_values(place: Host) -> None:
    made = place.start("echo", {"name": "Ada"})
    path = f"/executions/{made['id']}"
    remove(place, "events")
    assert place.client.get(path).json() == {**made, "removed": ["events"]}
    for call in ("events", "stream", "steps", "steps/say/output", "steps/say/items", "steps/say/items?fields=output"):
        told = problem(place.client.get(f"{path}/{call}"), 410, "removed")
        assert "AICFLOW_EVENT_LOG_AGE" in told["hint"], call
    problem(place.client.post(f"{path}/rerun", json={"from_node": "say"}), 410, "removed")
    again = place.client.post(f"{path}/rerun", json={}).json()["id"]
    place.until(lambda: place.client.get(f"/executions/{again}").json()["output"] == {"name": "Ada"})
    assert "succeeded" in place.client.get(f"{path}/why").json()["sentence"]


def test_the_housekeeper_removes_them_by_the_settings(new_host: Callable[..., Any]) -> None:
    with new_host(payload_age="1s", event_log_age="2s", retention_every=0.05) as host:
        host.save(ECHO, id="echo")
        made = host.start("echo", {"name": "Ada"})

        def removed() -> Any:
            return host.client.get(f"/executions/{made['id']}").json()["removed"] == ["events", "payloads"]

        host.until(removed, "the removal")
        record = host.client.get("/subjects/record").json()["retention"]
        assert (record["execution_events"], record["execution_payloads"]) == ("2s", "1s")
        count = host.do(host.runtime.store.executions.count(ExecutionFilter()))
        assert count == {"succeeded": 1}


@pytest.mark.parametrize("text", ["30", "soon", "succeeded=1d"])
def test_ages_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match="is not an age"):
        Settings(payload_age=text)
    assert Settings(payload_age="forever", event_log_age="2w").part_ages == {"events": 1_209_600.0}
