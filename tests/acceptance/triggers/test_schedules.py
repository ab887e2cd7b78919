"""Schedules as their users meet them: saved, fired, paused, asked what comes next."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from aicflow import AICFlowError
from aicflow_trigger.commands import cron_next

from tests.acceptance.triggers.conftest import Site, until

EACH_SECOND = "* * * * * *"
SAY = [{"id": "say", "type": "webhook.respond", "params": {"body": "${{ trigger.scheduled_for }}"}}]
WAIT = [{"id": "hold", "type": "wait", "params": {"answer_schema": True}}]


def scheduled(name: str, schedule: str, nodes: Any = SAY, **params: Any) -> dict[str, Any]:
    trigger = {"id": "clock", "type": "trigger.cron", "params": {"schedule": schedule, **params}}
    return {"aicflow": 1, "name": name, "triggers": [trigger], "nodes": nodes}


def starts(site: Site, workflow: str) -> list[datetime]:
    """When the executions were due, in order."""
    return sorted(datetime.fromisoformat(one["trigger"]["scheduled_for"]) for one in site.executions(workflow))


def test_a_schedule_works_from_its_save_to_its_end_without_a_restart(site: Site) -> None:
    workflow = site.save(scheduled("each second", EACH_SECOND, overlap="allow"))
    binding = f"/triggers/{workflow}:clock"
    until(lambda: len(starts(site, workflow)) >= 3, "three fires")
    site.api.post(f"{binding}/pause")
    due = starts(site, workflow)
    assert [b - a for a, b in pairwise(due)] == [timedelta(seconds=1)] * (len(due) - 1)
    assert all(moment.microsecond == 0 for moment in due)
    execution = site.ended(site.executions(workflow)[0]["id"])
    assert execution["trigger"]["key"] == execution["trigger"]["payload"]["scheduled_for"]

    fired = site.api.post(f"{binding}/fire").json()
    assert site.ended(fired["id"])["trigger"]["payload"]["note"] == "fired by hand", "also when it is paused"
    assert len(site.executions(workflow)) == len(due) + 1

    site.api.post(f"{binding}/resume")
    until(lambda: len(site.executions(workflow)) > len(due) + 1, "a fire after the pause")
    assert site.replace(workflow, scheduled("each second", "0 0 1 1 *")) == 2
    rest = len(site.executions(workflow))
    rows = site.api.get(f"{binding}/next", params={"count": 2}).json()["data"]
    assert [row["local"][5:19] for row in rows] == ["01-01T00:00:00"] * 2
    assert len(site.executions(workflow)) == rest
    keys = [one["trigger"]["key"] for one in site.executions(workflow) if one["trigger"]["key"]]
    assert len(set(keys)) == len(keys)


def test_what_a_fire_does_while_the_last_one_runs(site: Site) -> None:
    rules = ("skip", "queue", "cancel_other", "allow")
    workflows = {rule: site.save(scheduled(rule, EACH_SECOND, WAIT, overlap=rule)) for rule in rules}
    for workflow in workflows.values():
        until(lambda: len(site.deliveries(f"{workflow}:clock")) >= 3, "three fires")  # noqa: B023 - called at once
        site.api.post(f"/triggers/{workflow}:clock/pause")
    for rule, workflow in workflows.items():
        deliveries = site.deliveries(f"{workflow}:clock")
        more = len(deliveries) - 1
        expected = {
            "skip": ["waiting"],
            "queue": ["waiting", *["queued"] * more],
            "cancel_other": [*["cancelled"] * more, "waiting"],
            "allow": ["waiting"] * (more + 1),
        }[rule]
        until(lambda: [one["status"] for one in site.executions(workflow)][::-1] == expected, rule)  # noqa: B023
        skipped = [one for one in deliveries if one["error"] == "skipped"]
        assert len(skipped) == (more if rule == "skip" else 0)
        site.api.delete(f"/workflows/{workflow}")
        site.api.post("/executions/bulk-cancel", json={"workflow_id": workflow})


@pytest.mark.parametrize(
    ("params", "place", "says"),
    [
        ({"schedule": "61 * * * *"}, "schedule", "61 is out of range"),
        ({"schedule": "0 0 30 2 *"}, "schedule", "30"),
        ({"schedule": "* * * *"}, "schedule", "4 fields where five or six are needed"),
        ({"schedule": "@daily", "timezone": "Europe/Amsterdm"}, "timezone", "not a known time zone"),
        ({"schedule": "*/5 * * * *", "jitter": 600}, "jitter", "longer than the 300 s between two fires"),
        ({"schedule": "${{ vars.x }}"}, "schedule", "written out"),
        ({"schedule": "@daily", "overlap": "both"}, "overlap", "skip"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused_where_it_is_wrong(
    site: Site, params: dict[str, Any], place: str, says: str
) -> None:
    document = {**scheduled("wrong", **params), "vars": {"x": "@daily"}}
    answer = site.api.post("/workflows", json=document)
    assert answer.status_code == 422
    errors = [issue for issue in answer.json()["errors"] if issue["severity"] == "error"]
    assert [issue["pointer"] for issue in errors] == [f"/triggers/0/params/{place}"], errors
    assert says in errors[0]["message"]


def test_the_command_shows_missing_and_doubled_hours(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "aicflow.cli", "cron", "next", "30 2 * * *", "--timezone", "Europe/Amsterdam"]
    command += ["--count", "2", "--after", "2026-03-28T12:00:00Z"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert "[shifted]" in said[0]
    assert said[1].startswith("2026-03-29T01:00:00.000Z  2026-03-29T03:00:00+02:00")

    cron_next("0 * * * *", timezone="Europe/Amsterdam", count=2, after="2026-10-25T00:30:00Z", output="json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows].count("fire") == 2
    for given, message in (
        ({"schedule": "0 0 31 2 *"}, "31"),
        ({"schedule": "@daily", "after": "tomorrow"}, "RFC 3339"),
        ({"schedule": "@daily", "after": "2026-10-25T00:30:00"}, "no time zone"),
        ({"schedule": "@daily", "timezone": "Europe/Amsterdm"}, "Europe/Amsterdam"),
    ):
        with pytest.raises(AICFlowError, match=message):
            cron_next(**given)
