"""What form.wait does when its time comes, and what it says to the workflow that sends its links."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aicflow import Answer, Exit, PermanentError, StartChild, Wait
from aicflow.engine.ids import new_id
from aicflow.testing import RecordingContext, run_node
from aicflow_forms.links import PURPOSE, Link
from aicflow_forms.wait import FormWait

NOTIFY: dict[str, Any] = {
    "title": "Pay?",
    "notify": "wf_mail",
    "approvers": ["ann", "bob"],
    "remind_after": 60,
    "reminders": 1,
    "seconds": 3_600,
}


def after(*, sent: int, ago: float = 0, timeout: bool = False) -> RecordingContext:
    """A context after so many notices, the first of them so long ago."""
    children = tuple({"execution_id": new_id("ex", time.time() - ago), "status": "queued"} for _ in range(sent))
    answer = Answer("timeout") if timeout else Answer("answered", children[-1]) if children else None
    return RecordingContext(answer=answer, children=children)


@pytest.fixture(autouse=True)
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICFLOW_PUBLIC_URL", "https://flow.example.com/")


async def test_everybody_is_told_then_reminded_then_it_is_over() -> None:
    ann = await run_node(FormWait, NOTIFY, context=after(sent=0))
    bob = await run_node(FormWait, NOTIFY, context=after(sent=1))
    assert [one.input["approver"] for one in (ann, bob)] == ["ann", "bob"]
    assert (ann.workflow, ann.detach, ann.input["reminder"]) == ("wf_mail", True, 0)
    token = ann.input["link"].removeprefix("https://flow.example.com/forms/")
    assert Link.read(token, RecordingContext().signing_key(PURPOSE)) == Link("ex_test", "node", "ann")
    waits = await run_node(FormWait, NOTIFY, context=after(sent=2))
    assert isinstance(waits, Wait)
    assert waits.again
    assert 55 < (waits.until or 0) - time.time() <= 60
    for sent in (2, 3):
        reminder = await run_node(FormWait, NOTIFY, context=after(sent=sent, ago=60, timeout=sent == 2))
        assert isinstance(reminder, StartChild)
        assert (reminder.input["approver"], reminder.input["reminder"]) == (("ann", "bob")[sent - 2], 1)
    last = await run_node(FormWait, NOTIFY, context=after(sent=4, ago=60))
    assert 3_535 < last.until - time.time() <= 3_540, "no more reminders: the rest of the time"
    over = await run_node(FormWait, NOTIFY, context=after(sent=4, ago=3_600, timeout=True))
    assert over == Exit("timeout", {"answered": False, "choice": None, "answer": None, "by": None, "at": None})


async def test_the_time_is_over_though_a_reminder_is_left() -> None:
    over = await run_node(FormWait, {**NOTIFY, "seconds": 30}, context=after(sent=2, ago=30, timeout=True))
    assert over.port == "timeout"


async def test_links_need_to_know_where_they_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AICFLOW_PUBLIC_URL")
    with pytest.raises(PermanentError, match="public URL") as caught:
        await run_node(FormWait, NOTIFY)
    assert caught.value.code == "no-public-url"


def test_the_ports_and_the_types_are_those_of_the_params() -> None:
    assert FormWait.ports_for({"title": "x"}) == ("approve", "reject", "timeout")
    assert FormWait.ports_for({"title": "x", "choices": ["a", "b"]}) == ("a", "b", "timeout")
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    assert FormWait.ports_for({"title": "x", "answer_schema": schema}) == ("main", "timeout")
    output = FormWait.output_schema_for({"title": "x", "answer_schema": schema}) or {}
    assert output["properties"]["choice"] == {"enum": [None]}
    assert output["$defs"] == schema["$defs"]
    assert output["properties"]["answer"]["anyOf"][0] == {"type": "object", "properties": schema["properties"]}
