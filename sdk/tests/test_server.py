"""Both clients against a real server: saving, starting, following, changing course, reading what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aicflow_sdk import (
    AICFlow,
    BadRequest,
    BuildError,
    Conflict,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionUnsuccessful,
    Forbidden,
    InputInvalid,
    Invalid,
    NotFound,
    RevisionMismatch,
    Unauthorized,
    WaitTimeout,
    Workflow,
    WorkflowInvalid,
)
from sdk_kit import Server, opened


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    with opened(request.param, server.url, server.key) as made:
        yield made


def doubling(name: str = "doubling") -> Workflow:
    wf = Workflow(name, input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})

    @wf.python
    def double(n=wf.input.n):
        print("doubling", n)
        return n * 2

    wf.output = {"doubled": double.output}
    return wf


def dividing() -> Workflow:
    wf = Workflow("dividing")
    with wf.map("each", over=wf.input, on_item_error="continue", key=lambda n: f"n{n}") as n:
        wf.if_else(10 / n > 3, "big")
    return wf


def asking() -> Workflow:
    wf = Workflow("asking")
    ask = wf.wait("ask", answer_schema={"type": "string"}, message="Who?")
    greet = wf.python(
        "return 'Hello ' + inputs['name']", "greet", inputs={"name": ask.output.answer.coalesce("nobody")}
    )
    ask >> greet
    wf.output = greet.maybe.output
    return wf


def parked(client: Any, execution_id: str) -> None:
    """Wait until an execution waits for its answer."""
    with client.executions.stream(execution_id) as events:
        for event in events:
            if event.type == "execution.waiting":
                return


def test_a_workflow_from_python_to_its_result(client: Any) -> None:
    saved = client.workflows.create(doubling())
    assert (saved.name, saved.version, saved.enabled, saved.issues) == ("doubling", 1, True, ())
    assert saved.created_at.tzinfo is not None
    done = client.executions.run(saved, {"n": 21})
    assert done.result() == {"doubled": 42}
    (step,) = client.executions.steps(done.id, outputs=True)
    assert (step.node_id, step.status, step.output, step.logs) == ("double", "succeeded", 42, 1)
    assert [step.output for step in client.executions.steps(done.id)] == [None]
    assert client.executions.output(done.id, "double") == 42
    events = list(client.executions.stream(done.id))
    assert [event.seq for event in events] == list(range(1, done.last_seq + 1))
    assert events[-1].type == "execution.succeeded"
    assert [event.seq for event in client.executions.events(done.id, after=2)] == list(range(3, done.last_seq + 1))
    assert "succeeded" in client.executions.why(done.id)
    assert client.executions.scaling(queue="default").running == 0
    assert [worker.queues for worker in client.workers.list()] == [None]
    again = client.executions.get(done.id)
    assert (again.id, again.status, again.input, again.output) == (done.id, "succeeded", {"n": 21}, {"doubled": 42})


def test_versions_and_edits(client: Any) -> None:
    saved = client.workflows.create(doubling())
    changed = doubling()
    changed.output = {"twice": changed["double"].output}
    second = client.workflows.update(saved, changed)
    assert second.version == 2
    with pytest.raises(RevisionMismatch, match="revision 2"):
        client.workflows.update(saved, doubling("late"))
    assert client.workflows.update(second, changed).version == 2  # nothing changed, no version
    assert [version.version for version in client.workflows.versions(saved)] == [2, 1]
    assert client.workflows.version(saved, 1).document["output"] == {"doubled": "${{ nodes.double.output }}"}
    assert str(client.workflows.diff(saved, 1)).splitlines() == [
        "~ workflow: output.doubled: '${{ nodes.double.output }}' -> nothing",
        "~ workflow: output.twice: nothing -> '${{ nodes.double.output }}'",
    ]
    assert not client.workflows.diff(saved, 1, 1)
    assert client.workflows.restore(saved, 1).version == 3
    assert client.workflows.update(saved.id, changed).version == 4  # an id alone overwrites
    read = client.workflows.get(saved.id)
    assert Workflow.from_dict(read.document).to_dict() == changed.to_dict()
    assert client.executions.run(saved.id, {"n": 1}, version=1).result() == {"doubled": 2}


def test_switching_off_and_deleting(client: Any) -> None:
    saved = client.workflows.create(doubling(), enabled=False)
    with pytest.raises(Conflict, match=r"\[409 workflow-disabled\]"):
        client.executions.start(saved, {"n": 1})
    assert client.workflows.enable(saved).enabled
    assert not client.workflows.disable(saved).enabled
    client.workflows.delete(saved.id)
    with pytest.raises(NotFound) as caught:
        client.workflows.get(saved.id)
    assert caught.value.request_id
    with pytest.raises(NotFound):
        client.workflows.delete(saved.id)


def test_files_are_sent_as_they_are(client: Any, tmp_path: Path) -> None:
    file = tmp_path / "doubling.yaml"
    doubling("from yaml").save(file)
    assert client.workflows.create(file).name == "from yaml"
    file.write_text("nodes: [\n")
    with pytest.raises(BadRequest, match="line 2") as caught:
        client.workflows.create(file)
    assert caught.value.status == 400
    assert caught.value.errors[0].line == 2


def test_mistakes_are_told_at_their_place(client: Any) -> None:
    wf = doubling()
    wf.node("python.cod", "typo")
    with pytest.raises(WorkflowInvalid, match=r"/nodes/1/type.*(?s:.)*python\.code") as caught:
        client.workflows.create(wf)
    assert [error.pointer for error in caught.value.errors] == ["/nodes/1/type"]
    found = client.workflows.validate(wf)
    assert not found.valid
    assert found.issues[0].code == "node.unknown-type"
    assert wf.validate().issues[0].code == "node.unknown-type"
    saved = client.workflows.create(doubling())
    with pytest.raises(InputInvalid) as wrong:
        client.executions.start(saved, {"n": "one"})
    assert wrong.value.errors[0].pointer == "/n"
    with pytest.raises(Invalid, match="engine"):
        client.executions.start(saved, {"n": 1}, engine="x" * 100)


def test_results_that_are_none(client: Any) -> None:
    wf = Workflow("failing")
    wf.python("values = [1]\nreturn values[5]", "pick")
    failed = client.executions.run(client.workflows.create(wf))
    with pytest.raises(ExecutionFailed, match=r"at node 'pick': IndexError.*\n(?s:.)*values\[5\]") as caught:
        failed.result()
    assert caught.value.execution.error.line == 2
    waiting = client.executions.start(client.workflows.create(asking()))
    with pytest.raises(WaitTimeout, match="still"):
        client.executions.wait(waiting.id, timeout=0.2)
    with pytest.raises(ExecutionUnsuccessful, match="no result yet"):
        client.executions.get(waiting.id).result()
    client.executions.cancel(waiting.id)
    with pytest.raises(ExecutionCancelled):
        client.executions.wait(waiting.id).result()


def test_a_person_answers(client: Any) -> None:
    execution = client.executions.start(client.workflows.create(asking()))
    for event in client.executions.stream(execution.id):
        if event.type == "step.waiting":
            client.executions.resume(execution.id, "Ada")
    done = client.executions.wait(execution.id)
    assert done.result() == "Hello Ada"
    again = client.executions.rerun(done.id, from_node="greet")
    assert client.executions.wait(again.id).result() == "Hello Ada"
    assert client.executions.get(again.id).rerun_of == done.id
    with pytest.raises(Conflict):
        client.executions.resume(done.id, "Bob")


def test_one_key_is_one_execution(client: Any) -> None:
    saved = client.workflows.create(doubling())
    key = f"order-{uuid4()}"
    first = client.executions.start(saved, {"n": 1}, idempotency_key=key)
    assert client.executions.start(saved, {"n": 1}, idempotency_key=key).id == first.id
    with pytest.raises(Invalid, match="idempotency-mismatch"):
        client.executions.start(saved, {"n": 2}, idempotency_key=key)
    assert client.executions.start(saved, {"n": 1}).id != first.id


def test_executions_are_found_by_text_and_by_labels_of_their_workflow(client: Any) -> None:
    wf = doubling("labelled")
    wf.labels["team"] = team = f"bill & co {uuid4()}"
    saved = client.workflows.create(wf)
    assert (saved.labels, saved.document["labels"]) == ({"team": team}, {"team": team})
    found = client.executions.start(saved, {"n": 424_242}, wait=10)
    client.executions.start(saved, {"n": 1})
    assert [one.id for one in client.workflows.list(labels={"team": team})] == [saved.id]
    assert [one.id for one in client.executions.list(labels={"team": team}, q="424242")] == [found.id]


def test_lists_are_iterated_page_by_page(client: Any) -> None:
    saved = client.workflows.create(doubling("many"))
    ids = [client.executions.start(saved, {"n": n}).id for n in range(5)]
    listed = client.executions.list(workflow_id=saved.id)
    assert [execution.id for execution in listed] == list(reversed(ids))
    assert [execution.id for execution in listed] == list(reversed(ids))  # once more from the start
    assert [execution.id for execution in client.executions.list(workflow_id=saved.id, limit=2)] == ids[:2:-1]
    page = client.executions.list(workflow_id=saved.id, limit=3).page()
    assert len(page.data) == 3
    assert len(client.executions.list(workflow_id=saved.id, limit=3).page(page.next_cursor).data) == 2
    for id in ids:
        client.executions.wait(id)
    with pytest.raises(ExecutionUnsuccessful, match="left out"):
        listed.page().data[0].result()
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert len(list(client.executions.list(workflow_id=saved.id, status=["succeeded"], created_after=now - hour))) == 5
    assert list(client.executions.list(workflow_id=saved.id, created_before=now - hour)) == []
    with pytest.raises(Invalid, match="status"):
        list(client.executions.list(status="sleeping"))
    assert next(iter(client.workflows.list(name="MANY"))).id == saved.id


def test_many_at_once(client: Any) -> None:
    saved = client.workflows.create(asking())
    ids = {client.executions.start(saved).id for _ in range(3)}
    for id in ids:
        parked(client, id)
    result = client.executions.bulk_cancel(workflow_id=saved.id)
    assert {one.execution_id for one in result.results} == ids
    for id in ids:
        assert client.executions.wait(id).status == "cancelled"
    again = client.executions.bulk_rerun(workflow_id=saved.id, status=["cancelled"], limit=2)
    assert (again.done, again.failed, again.has_more) == (2, 0, True)
    for one in again.results:
        parked(client, one.started)
    client.executions.bulk_cancel(workflow_id=saved.id)
    with pytest.raises(Invalid, match="at least one condition"):
        client.executions.bulk_cancel()


def test_what_is_installed(client: Any) -> None:
    types = {found.type_id: found for found in client.node_types.list()}
    assert types["logic.if_else"].ports == ("true", "false")
    assert "url" in types["http.request"].params_schema["properties"]
    assert client.node_types.get("http.request") == types["http.request"]
    with pytest.raises(NotFound, match=r"http\.request"):
        client.node_types.get("http.reqest")
    try:
        assert not client.node_types.configure("wait", enabled=False).enabled
    finally:
        assert client.node_types.configure("wait", enabled=True).enabled
    assert {"trigger.cron", "trigger.webhook"} <= {found.type_id for found in client.trigger_types.list()}
    assert client.trigger_types.get("trigger.cron").params_schema["properties"]["schedule"]
    plugins = {found.name: found for found in client.plugins.list()}
    assert all(found.status == "loaded" for found in plugins.values())
    some = next(iter(plugins))
    assert client.plugins.get(some) == plugins[some]
    assert client.ready().ready
    assert client.schema()["properties"]["nodes"]


def test_triggers(client: Any) -> None:
    wf = doubling("triggered")
    wf.cron("0 6 * * *", "daily", timezone="Europe/Paris", input={"n": 4})
    path = f"sdk-{uuid4().hex}"
    wf.webhook(path, "hook", input={"n": wf.trigger.body.n})
    saved = client.workflows.create(wf)
    found = {trigger.trigger_id: trigger for trigger in client.triggers.list(workflow_id=saved.id)}
    assert {name: trigger.status for name, trigger in found.items()} == {"daily": "active", "hook": "active"}
    daily = found["daily"].id
    assert client.triggers.pause(daily).status == "paused"
    assert client.triggers.resume(daily).status == "active"
    assert client.triggers.get(daily) == found["daily"]
    assert len(client.triggers.next_fires(daily, count=3)) == 3
    with pytest.raises(Conflict):
        client.triggers.next_fires(found["hook"].id)
    fired = client.triggers.fire(found["hook"].id, {"body": {"n": 8}})
    done = client.executions.wait(fired.id)
    assert done.result() == {"doubled": 16}
    assert done.trigger.type_id == "trigger.webhook"

    import httpx2

    answered = httpx2.post(f"{client.url}/hooks/{path}", json={"n": 2})
    assert answered.status_code == 202
    (delivery,) = client.triggers.deliveries(found["hook"].id, limit=1)
    assert client.triggers.delivery(found["hook"].id, delivery.id).payload["body"] == {"n": 2}
    again = client.triggers.replay(found["hook"].id, delivery.id)
    assert client.executions.wait(again.id).result() == {"doubled": 4}
    client.workflows.delete(saved.id)


def test_api_keys_have_scopes(client: Any, server: Server) -> None:
    made = client.api_keys.create("reader", ["read"], expires_at=datetime.now(UTC) + timedelta(days=1))
    assert made.key.startswith("aicf_")
    assert made.key not in repr(made)
    with AICFlow(server.url, made.key) as reader:
        assert list(reader.workflows.list(limit=1)) is not None
        with pytest.raises(Forbidden, match="scope"):
            reader.workflows.create(doubling())
        client.api_keys.revoke(made.id)
        with pytest.raises(Unauthorized):
            list(reader.workflows.list())
    assert made.id in {key.id for key in client.api_keys.list()}


def test_api_keys_are_limited_and_rotated(client: Any, server: Server) -> None:
    saved = client.workflows.create(doubling())
    other = client.workflows.create(doubling())
    made = client.api_keys.create(
        "limited", ["read"], workflows=[saved], addresses=["127.0.0.0/8", "::1"], max_queued=9
    )
    assert (made.workflows, made.addresses, made.max_queued) == ((saved.id,), ("127.0.0.0/8", "::1/128"), 9)
    with AICFlow(server.url, made.key) as limited:
        assert [one.id for one in limited.workflows.list()] == [saved.id]
        with pytest.raises(NotFound):
            limited.workflows.get(other.id)
        rotated = client.api_keys.rotate(made.id, overlap=3600)
        assert (rotated.id, rotated.workflows) == (made.id, made.workflows)
        assert rotated.key != made.key
        assert [one.id for one in limited.workflows.list()] == [saved.id], "the key until now still counts"
        client.api_keys.rotate(made.id, overlap=0)
        with pytest.raises(Unauthorized):
            list(limited.workflows.list())
    with AICFlow(server.url, rotated.key) as late, pytest.raises(Unauthorized):
        list(late.workflows.list())


def test_one_client_serves_many_threads(client: Any, server: Server) -> None:
    saved = client.workflows.create(doubling())
    with AICFlow(server.url, server.key) as shared, ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda n: shared.executions.run(saved, {"n": n}).result()["doubled"], range(16))
        assert list(done) == [n * 2 for n in range(16)]


def test_deploying_says_what_it_did(client: Any, tmp_path: Path) -> None:
    name = f"Deployed workflow {uuid4().hex}"
    wf = doubling(name)
    first = client.workflows.deploy(wf)
    assert (first.outcome, first.version, first.id) == ("created", 1, name.replace(" ", "-"))
    assert client.workflows.deploy(wf).outcome == "unchanged"
    client.workflows.disable(first)
    wf.description = "Twice as much."
    again = client.workflows.deploy(wf)
    assert (again.outcome, again.version, again.enabled) == ("updated", 2, False), "what is switched off stays so"
    wf.name += "!"
    with pytest.raises(BuildError, match="has another name"):
        client.workflows.deploy(wf)
    assert client.workflows.deploy(wf, id=first.id).outcome == "updated"
    assert client.workflows.deploy(Workflow.from_dict({**wf.to_dict(), "name": "2 x"})).id == "_2-x"
    with pytest.raises(BuildError, match="Pass id="):
        client.workflows.deploy(Workflow("!"))
    wf.save(tmp_path / "file.yaml")
    with pytest.raises(BuildError, match="Pass id="):
        client.workflows.deploy(tmp_path / "file.yaml")
    assert client.workflows.deploy(tmp_path / "file.yaml", id=first.id).outcome == "unchanged"


def test_items_of_a_map_and_the_steps_inside(client: Any) -> None:
    done = client.executions.run(client.workflows.deploy(dividing()), [2, 0, 5, *range(6, 206)], timeout=60)
    (failed,) = client.executions.items(done.id, "each", status="failed")
    assert (failed.id, failed.index, failed.key, failed.output) == ("each[1]", 1, "n0", None)
    assert failed.error.node_id == "each[1].big"
    items = list(client.executions.items(done.id, "each", status=["succeeded", "failed"], outputs=True))
    assert [item.index for item in items] == list(range(203)), "page by page"
    assert [item.output and item.output["result"] for item in items[:3]] == [True, None, False]
    assert [item.id for item in client.executions.items(done.id, "each", limit=2)] == ["each[0]", "each[1]"]
    (inside,) = client.executions.steps(done.id, parent=failed.id, status="failed")
    assert inside.node_id == "each[1].big"
    (outer,) = client.executions.steps(done.id)
    assert (outer.node_id, outer.progress) == ("each", {"count": 203, "ended": 203, "failed": 1})
    assert client.executions.output(done.id, "each[2].big")["result"] is False
    with pytest.raises(NotFound):
        client.executions.items(done.id, "other").page()
