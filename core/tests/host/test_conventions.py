"""What holds for every call, whoever wrote it: headers, problems, idempotency keys, preconditions. Each test walks the
OpenAPI document, so that a new call is tried as well."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from aicflow.host.app import create_app
from aicflow.host.openapi import document
from aicflow.host.settings import Settings
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import ECHO, Host, problem

API = document(create_app(Settings()))
CALLS = [
    (method.upper(), path, call)
    for path, calls in API["paths"].items()
    for method, call in calls.items()
    if method != "head"  # as GET, without a body
]
IDS = [f"{method} {path}" for method, path, _ in CALLS]

NOTHING_MADE = {
    "cancel_execution": "cancelling again changes nothing",
    "resume_execution": "a step that has its answer takes no other",
    "pause_trigger": "pausing again changes nothing",
    "resume_trigger": "resuming again changes nothing",
    "upload_file": "the same bytes are the same file",
    "rotate_secrets_key": "what has the newest key already is left as it is",
    "find_subject": "nothing is stored",
    "export_subject": "nothing is stored",
    "erase_subject": "what is erased stays so",
    "create_ticket": "it counts once and for a minute, and cannot be read again to answer with it",
    "create_session": "each browser has its own; the cookie of one cannot be read again to answer with it",
    "validate_workflow": "nothing is stored",
    "preview_expression": "nothing is stored",
    "restore_workflow_version": "an equal document makes no new version; If-Match keeps it from overwriting",
}
"""POST calls without an `Idempotency-Key`, and why they need none."""

NO_REVISION = {
    "delete_file": "a file never changes: its name is its digest",
    "revoke_api_key": "a key is revoked once and for all",
    "delete_session": "it has ended or it has not",
}
"""Changing calls without `If-Match`, and why they need none."""


@pytest.fixture(scope="module")
def filled(host: Host) -> dict[str, str]:
    """Something that is there for each path parameter."""
    bell = {**ECHO, "triggers": [{"id": "bell", "type": "test.bell"}]}
    host.save(bell, id="there")
    host.client.put("/workflows/there/state/there", json={"value": 1})
    key = host.client.post("/api-keys", json={"name": "there", "scopes": ["read"]}).json()
    return {
        "workflow_id": "there",
        "execution_id": host.start("there")["id"],
        "type_id": "test.echo",
        "binding_id": "there:bell",
        "node_id": "say",
        "version": "1",
        "key": "there",
        "key_id": key["id"],
    }


def url(path: str, filled: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: filled.get(found[1], "there"), path)


def example(call: dict[str, Any]) -> Any:
    """The example of a call's body."""
    for content in call.get("requestBody", {}).get("content", {}).values():
        named = API["components"]["schemas"].get(content["schema"].get("$ref", "").rpartition("/")[2], {})
        for one in [*(one["value"] for one in content.get("examples", {}).values()), *named.get("examples", [])]:
            return one
    return None


def takes(call: dict[str, Any], header: str) -> bool:
    return any(one["name"] == header for one in call.get("parameters", []))


def has_safe_headers(answer: httpx2.Response) -> None:
    headers = answer.headers
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers, "only behind HTTPS"


@pytest.mark.parametrize(("method", "path", "call"), CALLS, ids=IDS)
def test_every_answer_has_an_id_and_safe_headers(
    host: Host, filled: dict[str, str], method: str, path: str, call: dict[str, Any]
) -> None:
    with host.bare() as client:
        if call["security"]:
            refused = client.request(method, host.url + url(path, filled))
            assert "Bearer" in refused.headers["www-authenticate"]
            problem(refused, 401, "unauthorized")
            has_safe_headers(refused)
        other = client.request(
            "PROPFIND", host.url + url(path, filled), headers={"authorization": f"Bearer {host.key}"}
        )
        assert other.headers["allow"]
        problem(other, 405, "method-not-allowed")
        has_safe_headers(other)
    if method == "GET" and not path.endswith("/stream"):
        answer = host.client.get(host.url + url(path, filled))
        has_safe_headers(answer)
        if call["security"]:
            assert answer.headers["ratelimit"].startswith('"key";r='), "it was counted"


@pytest.mark.parametrize(("method", "path", "call"), [one for one in CALLS if "requestBody" in one[2]])
def test_every_body_that_cannot_be_read_is_a_problem(
    host: Host, filled: dict[str, str], method: str, path: str, call: dict[str, Any]
) -> None:
    kinds = call["requestBody"]["content"]
    if not any(kind.endswith("json") for kind in kinds):
        pytest.skip("it takes any bytes")
    where = host.url + url(path, filled)
    headers = {"if-match": "*"} if takes(call, "If-Match") else {}

    def send(content: Any, kind: str = "application/json", **more: str) -> httpx2.Response:
        return host.client.request(method, where, content=content, headers={**headers, "content-type": kind, **more})

    problem(send(b"{"), 400, "body-malformed")
    problem(send(b'{"a": 1, "a": 2}'), 400, "body-malformed")
    problem(send(b"{}", "text/csv"), 415, "unsupported-media-type")
    problem(send(b"{}", **{"content-encoding": "br"}), 415, "unsupported-media-type")
    large = b"{" + b" " * host.settings.max_body_bytes + b"}"
    problem(send(large), 413, "body-too-large")
    if "example" not in path and path != "/api/v1/workflows/validate":
        problem(send(b'{"surely_unknown": 1}'), 422, "workflow-invalid" if "yaml" in str(kinds) else "request-invalid")


POSTS = [one for one in CALLS if one[0] == "POST"]


@pytest.mark.parametrize(("method", "path", "call"), POSTS, ids=lambda one: one if isinstance(one, str) else "")
def test_every_call_that_makes_something_takes_an_idempotency_key(
    host: Host, filled: dict[str, str], method: str, path: str, call: dict[str, Any]
) -> None:
    if call["operationId"] in NOTHING_MADE:
        assert not takes(call, "Idempotency-Key")
        return
    assert takes(call, "Idempotency-Key"), (
        f"{call['operationId']} makes something; see idempotency.py, or say above why not"
    )
    refused = host.client.post(
        host.url + url(path, filled), json=example(call), headers={"idempotency-key": "two words"}
    )
    if refused.status_code != 404:  # what it is about is not there
        assert problem(refused, 422, "request-invalid")["errors"][0]["pointer"] == "/idempotency-key"


CHANGES = [one for one in CALLS if one[0] in ("PUT", "PATCH", "DELETE")]


@pytest.mark.parametrize(("method", "path", "call"), CHANGES, ids=lambda one: one if isinstance(one, str) else "")
def test_every_change_heeds_if_match(
    host: Host, filled: dict[str, str], method: str, path: str, call: dict[str, Any]
) -> None:
    if call["operationId"] in NO_REVISION:
        return
    assert takes(call, "If-Match"), f"{call['operationId']} changes what others may have changed; see etag.py"
    where = host.url + url(path, filled)
    read = host.client.get(where)
    if read.status_code == 200 and method != "PUT":
        assert read.headers["etag"]
    body = None if method == "DELETE" else example(call)
    for wrong in ('"1-999"', 'W/"x", "y"'):
        refused = host.client.request(method, where, json=body, headers={"if-match": wrong})
        if refused.status_code == 404:
            continue  # nothing of that name was made for this test
        problem(refused, 412, "revision-mismatch")
    assert host.client.get(where).status_code == read.status_code, "nothing was changed"


@pytest.mark.parametrize(("method", "path", "call"), CHANGES, ids=lambda one: one if isinstance(one, str) else "")
def test_a_precondition_that_is_not_understood_is_not_passed_over(
    host: Host, filled: dict[str, str], method: str, path: str, call: dict[str, Any]
) -> None:
    if takes(call, "If-None-Match"):
        body = None if method == "DELETE" else example(call)
        where = host.url + url(path, filled)
        refused = host.client.request(method, where, json=body, headers={"if-none-match": '"1-1"'})
        problem(refused, 422, "request-invalid")


def test_a_node_types_etag_names_its_configuration(host: Host) -> None:
    first = host.client.get("/node-types/test.echo").headers["etag"]
    set_to = host.client.patch("/node-types/test.echo", json={"enabled": False}, headers={"if-match": first})
    assert set_to.status_code == 200
    assert set_to.headers["etag"] != first
    problem(
        host.client.patch("/node-types/test.echo", json={"enabled": False}, headers={"if-match": first}),
        412,
        "revision-mismatch",
    )
    back = host.client.patch(
        "/node-types/test.echo", json={"enabled": True}, headers={"if-match": set_to.headers["etag"]}
    )
    assert back.headers["etag"] == first


def test_a_version_is_restored_only_over_what_was_read(host: Host) -> None:
    tag = host.client.post("/workflows?id=old", json=ECHO).headers["etag"]
    host.client.put("/workflows/old", json={**ECHO, "name": "new"}, headers={"if-match": tag})
    where = "/workflows/old/versions/1/restore"
    problem(host.client.post(where, headers={"if-match": tag}), 412, "revision-mismatch")
    now = host.client.get("/workflows/old").headers["etag"]
    assert host.client.post(where, headers={"if-match": now}).json()["document"]["name"] == "echo"


def test_browsers_are_told_to_stay_with_https_behind_it_only(host: Host, new_host: Any) -> None:
    with host.bare(**{"x-forwarded-proto": "https"}) as client:
        assert client.get(f"{host.url}/livez").headers["strict-transport-security"] == "max-age=31536000"
    with new_host(proxies=("10.0.0.1",)) as other, other.bare(**{"x-forwarded-proto": "https"}) as client:
        assert "strict-transport-security" not in client.get(f"{other.url}/livez").headers


def test_what_is_nowhere_is_a_problem_too(host: Host) -> None:
    for path in ("/nothing", "/api/v1", "/api/v1/none", "/api/v2/workflows", "//", "/hooks", "/docs/none"):
        problem(host.client.get(host.url + path), 404, "not-found")


def test_log_lines_of_a_request_have_its_id(host: Host) -> None:
    from aicflow.host.logs import CURRENT, LogFormatter

    formatter = LogFormatter("%(levelname)s %(message)s")
    record = logging.LogRecord("aicflow", logging.WARNING, "", 1, "Something %s", ("happened",), None)
    assert formatter.format(record) == "WARNING Something happened"
    token = CURRENT.set("rq_1")
    try:
        assert formatter.format(record) == "WARNING Something happened [rq_1]"
    finally:
        CURRENT.reset(token)


@pytest.fixture
def few(new_host: Any) -> Iterator[Host]:
    with new_host(max_streams_per_key=3) as host:
        yield host


def test_a_key_holds_no_more_streams_open_than_it_may(few: Host) -> None:
    address = few.url.replace("http", "ws") + "/api/v1/executions/stream"
    headers = {"authorization": f"Bearer {few.key}"}
    other = few.client.post("/api-keys", json={"name": "other", "scopes": ["read"]}).json()["key"]
    with connect(address, additional_headers=headers), connect(address, additional_headers=headers):
        with few.client.stream("GET", "/executions/stream") as third:
            parts = third.iter_raw()
            assert next(parts) == b": stream\n\n"
            with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
                pass
            response = refused.value.response
            assert (response.status_code, response.headers["retry-after"]) == (429, "5")
            assert json.loads(response.body or b"")["type"] == "urn:aicflow:problem:rate-limited"
            problem(few.client.get("/executions/stream"), 429, "rate-limited")
            with connect(address, additional_headers={"authorization": f"Bearer {other}"}):
                pass
        few.until(lambda: sum(few.runtime.open_streams.values()) == 2, "the place is free again")
        with few.client.stream("GET", "/executions/stream") as third:
            assert third.status_code == 200
    few.until(lambda: not few.runtime.open_streams, "all places are free again")
