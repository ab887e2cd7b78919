"""Who answers the caller of a webhook when there are branches: one for each, and validation that proves it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.triggers.conftest import Site


def branching(path: str, node: Any, *, error: bool = False, extra: str | None = None) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [
        {"id": "big", "type": "logic.if_else", "params": {"condition": "${{ input.body.n > 1 }}"}},
        {"id": "yes", "type": "webhook.respond", "params": {"body": {"ok": True}}},
        {"id": "no", "type": "webhook.respond", "params": {"status": 422, "body": {"ok": False}}},
        {"id": "sorry", "type": "webhook.respond", "params": {"status": 500, "body": "sorry"}},
    ]
    edges = [{"from": "big", "port": "true", "to": "yes"}, {"from": "big", "port": "false", "to": "no"}]
    if error:
        edges.append({"from": "big", "port": "error", "to": "sorry"})
    else:
        nodes.pop()
    if extra:
        edges.append({"from": "yes", "to": extra})
        nodes.append({"id": extra, "type": "webhook.respond", "params": {}})
    respond = {"mode": "node", "node": node, "timeout": 20}
    params = {"path": path, "respond": respond}
    trigger = {"id": "hook", "type": "trigger.webhook", "params": params}
    return {"aicflow": 1, "name": "branching", "triggers": [trigger], "nodes": nodes, "edges": edges}


def findings(site: Site, document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    answer = site.api.post("/workflows/validate", json=document).json()
    return [
        (one["code"], one["pointer"], one["message"], one.get("hint", ""))
        for one in answer["issues"]
        if one["pointer"].startswith("/triggers")
    ]


def test_the_responder_of_the_branch_that_was_taken_answers(site: Site) -> None:
    document = branching("either", ["yes", "no", "sorry"], error=True)
    assert findings(site, document) == []
    site.save(document)
    for body, status, answer in (
        ({"n": 5}, 200, '{"ok":true}'),
        ({"n": 0}, 422, '{"ok":false}'),
        ({"n": "x"}, 500, "sorry"),
    ):
        sent = site.web.post("/either", json=body)
        assert (sent.status_code, sent.text) == (status, answer)


def test_a_caller_whom_nobody_answers_is_told(site: Site) -> None:
    site.save(branching("nobody", ["yes"]))
    sent = site.web.post("/nobody", json={"n": 0})
    assert (sent.status_code, sent.json()["detail"]) == (502, "The node 'yes' that answers has been skipped.")
    site.save(branching("nobody-of-two", ["yes", "after"], extra="after"))
    sent = site.web.post("/nobody-of-two", json={"n": 0})
    assert sent.status_code == 502
    assert sent.json()["detail"].startswith("None of its nodes 'yes', 'after' answered: ")


@pytest.mark.parametrize(
    ("node", "more", "message", "hint"),
    [
        ("yes", {}, "No node answers when 'big' exits by 'false': the caller gets 502.", "node: [yes, no]."),
        (["no"], {}, "No node answers when 'big' exits by 'true': the caller gets 502.", "node: [no, yes]."),
        (
            ["yes", "no"],
            {"error": True},
            "No node answers when 'big' exits by 'error': the caller gets 502.",
            "node: [yes, no, sorry].",
        ),
    ],
)
def test_validation_names_the_way_that_has_no_responder(
    site: Site, node: Any, more: dict[str, Any], message: str, hint: str
) -> None:
    document = branching("unanswered", node, **more)
    ((code, at, said, advice),) = findings(site, document)
    assert (code, at, said) == ("trigger.no-answer", "/triggers/0/params/respond/node", message)
    assert advice.endswith(hint)
    document["triggers"][0]["params"]["respond"]["node"] = hint[len("node: [") : -2].split(", ")
    assert findings(site, document) == [], "the advice is itself accepted"


def test_validation_tells_of_two_responders_on_one_way_and_of_those_that_are_not_there(site: Site) -> None:
    ((code, _, said, _),) = findings(site, branching("two", ["yes", "no", "after"], extra="after"))
    assert code == "trigger.two-answers"
    assert said == "Both 'yes' and 'after' run when 'big' exits by 'true': the first to succeed answers."
    ((code, at, _, advice),) = findings(site, branching("typo", ["yes", "nope"]))
    assert (code, at, advice) == ("param.invalid", "/triggers/0/params/respond/node/1", "Did you mean 'no'?")


def test_a_file_is_the_answer(site: Site) -> None:
    """Streamed with its own size, type and name, which the node's headers may change; what is gone is told."""
    data = bytes(range(256)) * 20_000
    made = site.api.post("/files", content=data, params={"name": "größe.bin", "type": "image/x-test"}).json()["file"]
    answer = {"id": "out", "type": "webhook.respond", "params": {"status": 201, "body": "${{ input.body.file }}"}}
    trigger = {
        "id": "hook",
        "type": "trigger.webhook",
        "params": {"path": "file", "respond": {"mode": "node", "node": "out", "timeout": 20}},
    }
    document = {"aicflow": 1, "name": "file", "triggers": [trigger], "nodes": [answer]}
    site.save(document)
    sent = site.web.post("/file", json={"file": {**made, "size": 1}})
    assert (sent.status_code, sent.content) == (201, data)
    assert sent.headers["content-length"] == str(len(data))
    assert sent.headers["content-type"] == "image/x-test"
    assert sent.headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.bin"

    answer["params"] = {"body": "${{ input.body.file }}", "headers": {"Content-Disposition": "inline"}}
    trigger["params"] = {**trigger["params"], "path": "shown"}
    site.save({**document, "name": "shown"})
    sent = site.web.post("/shown", json={"file": {**made, "name": None, "type": "text/plain"}})
    assert (sent.status_code, sent.headers["content-disposition"]) == (200, "inline")
    assert sent.content == data
    gone = site.web.post("/shown", json={"file": {**made, "$blob": "0" * 64}})
    assert gone.status_code >= 400
