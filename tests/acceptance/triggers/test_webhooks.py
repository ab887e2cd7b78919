"""Webhooks as their users meet them: from saving a workflow to the answer that a caller gets."""

from __future__ import annotations

import base64
import gzip
import itertools
from contextlib import nullcontext
from typing import Any

import httpx2
import pytest
from aicflow import AICFlowError
from aicflow.cli.files import read_input

from tests.acceptance.triggers.conftest import Site, hooked, until

NUMBERS = itertools.count()
REPLY = {
    "aicflow": 1,
    "name": "reply",
    "nodes": [
        {"id": "say", "type": "webhook.respond", "params": {
            "status": 201, "headers": {"X-Order": "${{ trigger.path_params.id }}", "Content-Type": "text/csv"},
            "body": "id\n${{ trigger.path_params.id }}\n"}},
        {"id": "work", "type": "wait", "params": {"answer_schema": True}},
    ],
    "edges": [{"from": "say", "to": "work"}],
}  # fmt: skip


def trigger(path: str, **params: Any) -> list[dict[str, Any]]:
    return [{"id": "hook", "type": "trigger.webhook", "params": {"path": path, **params}}]


def test_a_call_becomes_an_execution_with_all_that_was_sent(site: Site) -> None:
    workflow = site.save(hooked("orders/{customer}/items", methods=["PUT", "POST"]))
    answer = site.web.put(
        "/orders/caf%C3%A9%2Fbar/items?a=1&b=2&b=%00&c",
        content=gzip.compress(b'{"n": 340282366920938463463374607431768211455, "deep": [[1.5, null]]}'),
        headers={"content-type": "application/json", "content-encoding": "gzip", "x-note": "hi", "cookie": "c=1"},
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/executions/{answer.json()['execution_id']}"
    execution = site.ended(answer.json()["execution_id"])
    payload = execution["output"]
    assert payload == execution["trigger"]["payload"] == execution["input"]
    assert payload["method"] == "PUT"
    assert payload["path_params"] == {"customer": "café/bar"}
    assert payload["query"] == {"a": "1", "b": ["2", "\0"], "c": ""}
    assert payload["body"] == {"n": 2**128 - 1, "deep": [[1.5, None]]}
    assert payload["headers"]["x-note"] == "hi"
    assert "cookie" not in payload["headers"]
    assert execution["trigger"]["kind"] == "trigger"
    assert execution["workflow_id"] == workflow


def test_forms_files_text_and_bytes(site: Site) -> None:
    site.save(hooked("kinds", respond={"mode": "output"}))
    form = site.web.post("/kinds", data={"a": ["1", "2"], "b": "é"}).json()
    assert form["body"] == {"a": ["1", "2"], "b": "é"}
    upload = site.web.post("/kinds", data={"note": "n"}, files={"doc": ("a.bin", b"\x00\xff", "image/x")}).json()
    assert upload["body"] == {"note": "n"}
    assert upload["files"] == [
        {"field": "doc", "filename": "a.bin", "content_type": "image/x", "size": 2, "base64": "AP8=", "file": None}
    ]
    text = site.web.post(
        "/kinds", content="<a>é</a>".encode("latin-1"), headers={"content-type": "text/xml; charset=latin1"}
    )
    assert text.json()["body"] == "<a>é</a>"
    raw = site.web.post("/kinds", content=b"\x00\x01", headers={"content-type": "application/zip"}).json()
    assert raw["body"] == {"base64": "AAE=", "size": 2, "content_type": "application/zip", "file": None}
    assert site.web.post("/kinds").json()["body"] is None


def test_the_output_is_the_answer_or_an_id_when_it_takes_too_long(site: Site) -> None:
    site.save(hooked("out", output={"got": "${{ input.body }}"}, respond={"mode": "output", "timeout": 20}))
    answer = site.web.post("/out", json=[1])
    assert (answer.status_code, answer.json()) == (200, {"got": [1]})

    slow = {**REPLY, "name": "slow", "triggers": trigger("slow/{id}", respond={"mode": "output", "timeout": 0.2})}
    site.save(slow)
    answer = site.web.post("/slow/1")
    assert answer.status_code == 202
    assert site.api.get(f"/executions/{answer.json()['execution_id']}").json()["status"] == "waiting"

    failing = hooked("failing", output="${{ input.body.missing }}", respond={"mode": "output"})
    site.save(failing)
    answer = site.web.post("/failing", json={})
    assert answer.status_code == 502
    assert site.ended(answer.json()["execution_id"])["status"] == "failed"


def test_a_node_answers_while_the_execution_goes_on(site: Site) -> None:
    workflow = site.save({**REPLY, "triggers": trigger("reply/{id}", respond={"mode": "node", "node": "say"})})
    answer = site.web.post("/reply/42")
    assert (answer.status_code, answer.text) == (201, "id\n42\n")
    assert answer.headers["x-order"] == "42"
    assert answer.headers["content-type"] == "text/csv"
    execution = until(lambda: site.executions(workflow), "the execution")[0]
    assert execution["finished_at"] is None


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"body": {"base64": base64.b64encode(b"\x89PNG").decode(), "content_type": "image/png"}},
         (200, "image/png", b"\x89PNG")),
        ({"body": "<b>é</b>", "headers": {"content-type": "text/html; charset=utf-8"}},
         (200, "text/html; charset=utf-8", "<b>é</b>".encode())),
        ({"body": "é"}, (200, "text/plain; charset=utf-8", "é".encode())),
        ({"body": {"a": [1, None]}, "status": 418}, (418, "application/json", b'{"a":[1,null]}')),
        ({"body": {"a": 1}, "headers": {"Content-Type": "application/vnd.x+json"}},
         (200, "application/vnd.x+json", b'{"a":1}')),
        ({"status": 204, "body": "left out"}, (204, None, b"")),
        ({}, (200, None, b"")),
        ({"status": 302, "headers": {"Location": "https://example.com/"}}, (302, None, b"")),
    ],
)  # fmt: skip
def test_status_headers_and_body_are_what_the_node_says(site: Site, params: Any, expected: Any) -> None:
    nodes = [{"id": "say", "type": "webhook.respond", "params": params}]
    path = f"/answers/{next(NUMBERS)}"
    site.save(
        {"aicflow": 1, "name": "a", "nodes": nodes, "triggers": trigger(path, respond={"mode": "node", "node": "say"})}
    )
    answer = site.web.post(path)
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == expected


def test_answers_that_cannot_be_sent_fail_in_the_node_not_in_the_server(site: Site) -> None:
    nodes = [
        {
            "id": "say",
            "type": "webhook.respond",
            "params": {"headers": {"X-Out": "${{ input.body.header }}"}, "body": "${{ input.body.body }}"},
        }
    ]
    triggers = trigger("careless", respond={"mode": "node", "node": "say"})
    workflow = site.save({"aicflow": 1, "name": "careless", "nodes": nodes, "triggers": triggers})
    for header, body in (
        ("a\r\nset-cookie: x=1", ""),
        ("☃", ""),
        ("\0", ""),
        ("x" * 10_000, ""),
        ("", {"base64": "!", "content_type": "image/png"}),
        ("", {"base64": "", "content_type": "a\r\nx: y"}),
    ):
        answer = site.web.post("/careless", json={"header": header, "body": body})
        assert answer.status_code == 502, answer.text
        assert "set-cookie" not in answer.headers
        assert "x" not in answer.headers
        assert answer.json()["type"] == "urn:aicflow:problem:no-answer"
    # the answer does not wait for the end of the execution
    until(lambda: {one["status"] for one in site.executions(workflow)} == {"failed"}, "the end of all")


def test_problems_are_written_as_in_the_api(site: Site) -> None:
    answers = [site.web.post("/nothing-here"), site.api.get("/workflows/nothing-here")]
    shown = [{**answer.json(), "detail": "", "request_id": ""} for answer in answers]
    assert shown[0] == shown[1]
    assert shown[0]["title"] == "Not found"
    for answer in answers:
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_node_that_is_skipped_or_not_there_gives_no_answer(site: Site) -> None:
    document = {
        "aicflow": 1, "name": "branch",
        "nodes": [
            {"id": "gate", "type": "logic.if_else", "params": {"condition": "${{ input.body.yes }}"}},
            {"id": "say", "type": "webhook.respond", "params": {"body": "yes"}},
            {"id": "work", "type": "wait", "params": {"answer_schema": True}},
        ],
        "edges": [{"from": "gate", "port": "true", "to": "say"}, {"from": "gate", "port": "false", "to": "work"}],
        "triggers": trigger("branch", respond={"mode": "node", "node": "say", "timeout": 20}),
    }  # fmt: skip
    site.save(document)
    assert site.web.post("/branch", json={"yes": True}).text == "yes"
    answer = site.web.post("/branch", json={"yes": False})
    assert (answer.status_code, "skipped" in answer.json()["detail"]) == (502, True)


def test_what_another_node_gives_is_sent_as_json_and_cannot_pose_as_the_answer(site: Site) -> None:
    nodes = [
        {"id": "first", "type": "webhook.respond", "params": {"body": "${{ input.body }}"}},
        {"id": "gate", "type": "logic.if_else", "params": {"condition": True}},
    ]
    edges = [{"from": "first", "to": "gate"}]
    triggers = trigger("other", respond={"mode": "node", "node": "gate"})
    site.save({"aicflow": 1, "name": "other", "nodes": nodes, "edges": edges, "triggers": triggers})
    answer = site.web.post("/other", json={"type": "step.succeeded", "node_id": "gate", "status": 500})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_the_same_delivery_starts_one_execution(site: Site) -> None:
    document = hooked("once", delivery_header="X-Delivery", respond={"mode": "output"}, output="${{ input.body }}")
    workflow = site.save(document)
    first = site.web.post("/once", json=1, headers={"x-delivery": "d1"})
    again = site.web.post("/once", json=2, headers={"X-DELIVERY": "d1"})
    assert (first.json(), again.json()) == (1, 1), "the answer of the first"
    assert site.web.post("/once", json=3, headers={"x-delivery": "d2"}).json() == 3
    assert site.web.post("/once", json=4).json() == site.web.post("/once", json=4).json() == 4, (
        "without an id each counts"
    )
    assert len(site.executions(workflow)) == 4
    for bad in ("x" * 257, "a b", "\xe9"):
        answer = site.web.post("/once", json=5, headers={"x-delivery": bad.encode("latin-1")})
        assert answer.status_code == 400, bad
    twice = [(b"x-delivery", b"d3"), (b"x-delivery", b"d4")]
    assert site.web.post("/once", json=5, headers=twice).status_code == 400


def test_no_restart_is_ever_needed(site: Site) -> None:
    assert site.web.post("/life").status_code == 404
    workflow = site.save(hooked("life", name="life"))
    assert site.web.post("/life").status_code == 202
    site.replace(workflow, hooked("life/moved", name="life"))
    assert site.web.post("/life").status_code == 404
    assert site.web.post("/life/moved").status_code == 202

    pause = f"/triggers/{workflow}:hook"
    assert site.api.post(f"{pause}/pause").json()["status"] == "paused"
    paused = site.web.post("/life/moved")
    assert (paused.status_code, paused.headers["retry-after"]) == (503, "60")
    site.api.post(f"{pause}/resume")
    assert site.web.post("/life/moved").status_code == 202

    site.api.patch(f"/workflows/{workflow}", json={"enabled": False})
    assert site.web.post("/life/moved").status_code == 404
    assert len(site.deliveries(f"{workflow}:hook")) == 3, "what arrived can be read though it is off"
    site.api.patch(f"/workflows/{workflow}", json={"enabled": True})
    assert site.web.post("/life/moved").status_code == 202
    assert site.api.delete(f"/workflows/{workflow}").status_code == 204
    assert site.web.post("/life/moved").status_code == 404
    assert site.api.get(f"/triggers/{workflow}:hook/deliveries").status_code == 404


def test_methods_and_paths_that_two_workflows_share(site: Site) -> None:
    site.save(hooked("shared/new", methods=["GET"], respond={"mode": "output"}, output="get new"))
    site.save(hooked("shared/{id}", methods=["POST"], respond={"mode": "output"}, output="post any"))
    assert site.web.get("/shared/new").json() == "get new"
    assert site.web.post("/shared/new").json() == site.web.post("/shared/7/").json() == "post any"
    wrong = site.web.put("/shared/new")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST, HEAD, OPTIONS")
    asked = site.web.options("/shared/new")
    assert (asked.status_code, asked.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")
    assert site.web.head("/shared/new").status_code == 200

    refused = site.api.post("/workflows", json=hooked("shared/{name}", methods=["PUT", "POST"]))
    assert refused.status_code == 422
    issue = refused.json()["errors"][0]
    assert (issue["code"], issue["pointer"]) == ("trigger.conflict", "/triggers/0/params")
    assert "POST /hooks/shared/x would match both 'shared/{name}' and 'shared/{id}'" in issue["message"]
    assert "hooked" in issue["hint"]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"path": "a//b"}, "/path"),
        ({"path": "${{ vars.path }}"}, "/path"),
        ({"path": "~test/x"}, "/path"),
        ({"path": "a", "methods": ["${{ vars.method }}"]}, "/methods"),
        (
            {"path": "a", "auth": {"type": "hmac", "preset": "github", "secrets": ["${{ secrets.NONE }}"]}},
            "/auth/secrets/0",
        ),
        ({"path": "a", "auth": {"type": "hmac", "preset": "standard-webhooks", "secrets": ["%%"]}}, "/auth/secrets"),
        ({"path": "a", "respond": {"mode": "node", "node": "sey"}}, "/respond/node"),
        ({"path": "a", "auth": {"type": "basic", "username": "a:b", "passwords": ["x"]}}, "/auth/username"),
    ],
)
def test_what_could_never_work_is_refused_at_its_place(site: Site, params: dict[str, Any], place: str) -> None:
    document = {**hooked("a"), "vars": {"path": "a", "method": "POST"}, "triggers": trigger(**params)}
    answer = site.api.post("/workflows", json=document)
    assert answer.status_code == 422
    errors = [issue for issue in answer.json()["errors"] if issue.get("severity") == "error"]
    assert [issue["pointer"] for issue in errors] == [f"/triggers/0/params{place}"], errors


def test_input_that_does_not_fit_is_kept_and_can_be_replayed(site: Site) -> None:
    document = hooked("strict", name="strict")
    document["input_schema"] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    document["triggers"][0]["input"] = {"n": "${{ trigger.body.n }}"}
    workflow = site.save(document)
    binding = f"{workflow}:hook"
    for body in ({"n": "one"}, {}, [], None):
        answer = site.web.post("/strict", json=body)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:aicflow:problem:input-invalid"), answer.text
    kept = site.deliveries(binding)
    assert [one["execution_id"] for one in kept] == [None] * 4
    assert all(one["error"] for one in kept)
    assert site.executions(workflow) == []

    # mended, the first delivery goes through
    document["triggers"][0]["input"] = {"n": "${{ len(trigger.body.n) }}"}
    site.replace(workflow, document)
    shown = site.api.get(f"/triggers/{binding}/deliveries/{kept[-1]['id']}").json()
    assert shown["payload"]["body"] == {"n": "one"}
    replayed = site.api.post(f"/triggers/{binding}/deliveries/{kept[-1]['id']}/replay")
    assert replayed.status_code == 202
    assert site.ended(replayed.json()["id"])["input"] == {"n": 3}


def test_a_workflow_that_is_full_says_so(site: Site) -> None:
    document = {**REPLY, "name": "full", "triggers": trigger("full/{id}")}
    document["settings"] = {"concurrency": {"limit": 1, "when_full": "skip"}}
    workflow = site.save(document)
    assert site.web.post("/full/1").status_code == 202
    answer = site.web.post("/full/2")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:aicflow:problem:limit-reached")
    newest = site.deliveries(f"{workflow}:hook")[0]
    assert (newest["execution_id"], newest["error"]) == (None, "skipped")


def test_websockets_and_paths_outside_are_turned_away(site: Site) -> None:
    for path in ("", "/", "/../api/v1/workflows", "/%2e%2e/api", "//", "/a%01b"):
        assert httpx2.get(f"{site.server.url}/hooks{path}").status_code in (401, 404), path
    headers = {
        "upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    assert site.web.get("/anything", headers=headers).status_code in (403, 404)


def test_head_is_answered_where_get_is(site: Site) -> None:
    site.save(hooked("verify", methods=["GET"], respond={"mode": "node", "node": "say"}))
    answer = site.web.head("/verify")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "HEAD" in site.web.options("/verify").headers["allow"]
    assert site.web.post("/verify").headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_query_that_is_not_utf_8_is_refused_at_every_door(site: Site) -> None:
    site.save(hooked("names/{who}", methods=["GET"], respond={"mode": "output"}))
    for url in (
        f"{site.server.url}/hooks/names/a?name=Ren%E9",
        f"{site.server.url}/hooks/names/Ren%E9",
        f"{site.server.url}/api/v1/workflows?cursor=Ren%E9",
    ):
        answer = httpx2.get(url, headers=site.server.headers)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:aicflow:problem:request-malformed")
        assert "E9, which is not UTF-8" in answer.json()["detail"]
    assert site.web.get("/names/Ren%C3%A9?n=%C3%A9").json()["path_params"] == {"who": "René"}


def test_pages_of_other_origins_may_call_what_says_so(site: Site) -> None:
    site.save(hooked("shop", cors={"origins": ["https://shop.example"], "headers": ["x-cart"]}))
    site.save(hooked("closed"))
    ask = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    answer = site.web.options("/shop", headers=ask | {"access-control-request-headers": "x-cart"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert "x-cart" in answer.headers["access-control-allow-headers"].lower()
    assert site.web.options("/shop", headers=ask | {"access-control-request-headers": "x-other"}).status_code == 400
    assert site.web.options("/shop", headers=ask | {"origin": "https://evil.example"}).status_code == 400
    sent = site.web.post("/shop", json={}, headers={"origin": "https://shop.example"})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (202, "https://shop.example")
    refused = site.web.post("/shop", content=b"{", headers=ask | {"content-type": "application/json"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, "https://shop.example")
    for path, origin in (("/shop", "https://evil.example"), ("/closed", "https://shop.example")):
        sent = site.web.post(path, json={}, headers={"origin": origin})
        assert sent.status_code == 202
        assert "access-control-allow-origin" not in sent.headers


def test_a_body_limit_that_the_server_does_not_grant_is_refused_when_saved(site: Site) -> None:
    answer = site.api.post("/workflows", json=hooked("huge", max_body_bytes=50_000_000))
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/triggers/0/params/max_body_bytes")
    assert "16,777,216" in error["message"]
    site.save(hooked("huge", max_body_bytes=16_777_216))


def test_an_answer_does_not_speak_for_the_origin_of_the_api(site: Site) -> None:
    document = hooked("cookies", respond={"mode": "node", "node": "say"})
    document["nodes"][0]["params"]["headers"] = {"Set-Cookie": "a=b", "X-Frame-Options": "ALLOWALL"}
    answer = site.api.post("/workflows", json=document)
    assert answer.status_code == 422
    assert "AICFLOW_WEBHOOK_ALLOW_HEADERS=set-cookie" in answer.text
    document["nodes"][0]["params"]["headers"] = "${{ input.body }}"
    site.save(document)
    refused = site.web.post("/cookies", json={"Content-Security-Policy": "default-src *"})
    assert refused.status_code == 502
    told = site.web.post("/cookies", json={"x-mine": "1"})
    assert (told.headers["x-mine"], told.headers["x-frame-options"]) == ("1", "DENY")


def test_numbers_are_the_same_at_every_door(site: Site) -> None:
    workflow = site.save(hooked("numbers", respond={"mode": "output"}, output="${{ input.body.n }}"))
    head = {"content-type": "application/json"}
    for digits, status in (("1" * 60, 200), ("1" * 4_300, 200), ("1" * 4_301, 400), ("1e400", 400), ("-1e400", 400)):
        body = f'{{"n": {digits}}}'
        hook = site.web.post("/numbers", content=body, headers=head)
        start = f'{{"workflow_id": "{workflow}", "input": {{"body": {body}}}}}'
        api = site.api.post("/executions", params={"wait": 20}, content=start, headers=head)
        assert (hook.status_code, api.status_code) == (status, status), digits[:10]
        with nullcontext() if status == 200 else pytest.raises(AICFlowError, match=r"digits|float"):
            assert read_input(body) == {"n": int(digits)}, "the command line"
        if status == 200:
            assert hook.text == digits
            assert api.json()["output"] == int(digits)


def test_text_is_read_by_one_rule_at_every_door(site: Site) -> None:
    workflow = site.save(hooked("texts", respond={"mode": "output"}, output="${{ input.body.name }}"))
    for media, charset, status in (
        ("text/json", "utf-8", 200),
        ("application/json; charset=iso-8859-1", "iso-8859-1", 200),
        ("application/json; charset=utf-16", "utf-16", 200),
        ("application/json", "iso-8859-1", 400),
        ("application/json; charset=ascii", "iso-8859-1", 400),
        ("application/json; charset=no-such", "utf-8", 415),
        ("application/json; charset=base64", "utf-8", 415),
        (None, "utf-8", 200),
    ):
        head = {"content-type": media} if media else {}
        hook = site.web.post("/texts", content='{"name": "René"}'.encode(charset), headers=head)
        start = f'{{"workflow_id": "{workflow}", "input": {{"body": {{"name": "René"}}}}}}'.encode(charset)
        api = site.api.post("/executions", params={"wait": 20}, content=start, headers=head)
        assert (hook.status_code, api.status_code) == (status, status), media
        if status == 200:
            assert hook.json() == api.json()["output"] == "René"
