"""Requests that are wrong: each is a 4xx that says what and where, and nothing is stored."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from .conftest import ECHO, Host, problem

JSON = {"content-type": "application/json"}
YAML = {"content-type": "application/yaml"}
START = b'{"workflow_id": "echo"}'


@pytest.fixture(autouse=True, scope="module")
def _echo(host: Host) -> None:
    host.save(ECHO, id="echo")


def deep(levels: int) -> bytes:
    return b'{"aicflow":1,"name":"d","vars":' + b'{"a":' * levels + b"1" + b"}" * levels + b',"nodes":[]}'


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"workflow_id": ',
    "not JSON": b"hello",
    "trailing": START + b" x",
    "duplicate key": b'{"workflow_id": "echo",\n "workflow_id": "echo"}',
    "nested duplicate": b'{"workflow_id": "echo", "input": [{"a": 1, "b": 2, "a": 3}]}',
    "not UTF-8": b'{"workflow_id": "\xff\xfe"}',
    "UTF-16": '{"workflow_id": "echo"}'.encode("utf-16"),
    "raw NUL": b'{"workflow_id": "a\x00"}',
    "NaN": b'{"workflow_id": "echo", "input": NaN}',
    "infinity": b'{"workflow_id": "echo", "input": -Infinity}',
    "too large a float": b'{"workflow_id": "echo", "input": {"x": 1e400}}',
    "too large an integer": b'{"workflow_id": "echo", "input": ' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"workflow_id": "echo", "input": "\\ud800"}',
    "deep lists": b'{"workflow_id": "echo", "input": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep objects": b'{"workflow_id": "echo", "input": ' + b'{"a":' * 100 + b"1" + b"}" * 100 + b"}",
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("path", ["/executions", "/workflows", "/workflows/validate", "/api-keys"])
def test_a_body_that_is_not_json(host: Host, path: str, name: str) -> None:
    before = host.stored()
    body = problem(host.client.post(path, content=MALFORMED[name], headers=JSON), 400, "body-malformed")
    error = body["errors"][0]
    if error["code"] != "doc.too-deep":
        assert error["line"] >= 1
        assert error["column"] >= 1
    assert host.stored() == before


def test_the_place_of_a_duplicate_key_is_told(host: Host) -> None:
    answer = host.client.post("/workflows", content=MALFORMED["duplicate key"], headers=JSON)
    error = problem(answer, 400, "body-malformed")["errors"][0]
    assert (error["code"], error["line"], error["column"]) == ("doc.duplicate-key", 2, 2)


BROKEN_YAML: dict[str, bytes] = {
    "tab": b"a:\n\t- b",
    "two documents": b"a: 1\n---\nb: 2\n",
    "duplicate key": b"a: 1\nb: 2\na: 3\n",
    "python object": b"a: !!python/object/apply:os.system ['true']\n",
    "custom tag": b"a: !thing {}\n",
    "alias bomb": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + b"\n".join(b"%c: &%c [%b]" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(9)),
    "alias of itself": b"a: &a [*a]\n",
    "unknown alias": b"a: *b\n",
    "merge key": b"a: &a {x: 1}\nb: {<<: *a}\n",
    "list as key": b"? [a]\n: 1\n",
    "infinity": b"a: .inf\n",
    "deep": b"[" * 500 + b"]" * 500,
    "not UTF-8": b"a: \xff\n",
    "empty": b"",
    "only a comment": b"# nothing\n",
    "control character": b"a: \x01\n",
}


@pytest.mark.parametrize("name", BROKEN_YAML)
def test_a_body_that_is_not_yaml_we_take(host: Host, name: str) -> None:
    before = host.stored()
    status = 413 if name == "alias bomb" else 400
    code = "body-too-large" if name == "alias bomb" else "body-malformed"
    problem(host.client.post("/workflows", content=BROKEN_YAML[name], headers=YAML), status, code)
    assert host.stored() == before


def test_a_document_nested_too_deep(host: Host) -> None:
    problem(host.client.post("/workflows", content=deep(150), headers=JSON), 400, "body-malformed")
    assert host.client.post("/workflows/validate", content=deep(40), headers=JSON).status_code == 200


WRONG: dict[str, tuple[str, str, Any, str]] = {
    "a list": ("POST", "/executions", [], ""),
    "null": ("POST", "/executions", None, ""),
    "no workflow": ("POST", "/executions", {}, "/workflow_id"),
    "wrong type": ("POST", "/executions", {"workflow_id": 5}, "/workflow_id"),
    "text for a number": ("POST", "/executions", {"workflow_id": "echo", "priority": "3"}, "/priority"),
    "true for a number": ("POST", "/executions", {"workflow_id": "echo", "version": True}, "/version"),
    "huge number": ("POST", "/executions", {"workflow_id": "echo", "priority": 10**400}, "/priority"),
    "version zero": ("POST", "/executions", {"workflow_id": "echo", "version": 0}, "/version"),
    "unknown key": ("POST", "/executions", {"workflow_id": "echo", "inputs": 1}, "/inputs"),
    "unknown query": ("POST", "/executions?waits=1", {"workflow_id": "echo"}, "/waits"),
    "wrong wait": ("POST", "/executions?wait=soon", {"workflow_id": "echo"}, "/wait"),
    "long wait": ("POST", "/executions?wait=9999", {"workflow_id": "echo"}, "/wait"),
    "nan wait": ("POST", "/executions?wait=nan", {"workflow_id": "echo"}, "/wait"),
    "unknown list query": ("GET", "/workflows?nam=x", None, "/nam"),
    "repeated query": ("GET", "/executions?limit=1&limit=x", None, "/limit"),
    "limit zero": ("GET", "/executions?limit=0", None, "/limit"),
    "limit too large": ("GET", "/executions?limit=201", None, "/limit"),
    "limit as text": ("GET", "/executions?limit=ten", None, "/limit"),
    "unknown status": ("GET", "/executions?status=failed,done", None, "/status"),
    "instant without zone": ("GET", "/executions?created_after=2026-01-01T00:00:00", None, "/created_after"),
    "a number is no instant": ("GET", "/executions?created_after=0", None, "/created_after"),
    "a number is no instant in a body": ("POST", "/executions/bulk-cancel", {"created_after": 0}, "/created_after"),
    "a text of digits is no instant": ("POST", "/executions/bulk-cancel", {"created_after": "0"}, "/created_after"),
    "a day is no instant": ("GET", "/executions?created_after=2026-01-01", None, "/created_after"),
    "an API key's end is an instant": (
        "POST",
        "/api-keys",
        {"name": "x", "scopes": ["read"], "expires_at": "99999999999"},
        "/expires_at",
    ),
    "no instant": ("GET", "/executions?created_before=yesterday", None, "/created_before"),
    "bad cursor": ("GET", "/executions?cursor=%00%c3%bf", None, "/cursor"),
    "forged cursor": ("GET", "/workflows?cursor=AAAA", None, "/cursor"),
    "cursor of another list": ("GET", "/node-types?cursor=nothing", None, "/cursor"),
    "NUL in a filter": ("GET", "/workflows?name=a%00b", None, "/name"),
    "enabled as text": ("PATCH", "/workflows/echo", {"enabled": "yes"}, "/enabled"),
    "nothing to change": ("PATCH", "/workflows/echo", {}, "/enabled"),
    "unknown scope": ("POST", "/api-keys", {"name": "x", "scopes": ["root"]}, "/scopes"),
    "no scope": ("POST", "/api-keys", {"name": "x", "scopes": []}, "/scopes"),
    "blank name": ("POST", "/api-keys", {"name": "  ", "scopes": ["read"]}, "/name"),
    "line break in a name": ("POST", "/api-keys", {"name": "a\nb", "scopes": ["read"]}, "/name"),
    "expired already": (
        "POST",
        "/api-keys",
        {"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"},
        "/expires_at",
    ),
    "bulk without a condition": ("POST", "/executions/bulk-cancel", {"limit": 5}, ""),
    "unknown param": ("PATCH", "/node-types/test.echo", {"default_params": {"valeu": 1}}, "/default_params/valeu"),
    "misfit param": ("PATCH", "/node-types/test.chatter", {"default_params": {"size": "big"}}, "/default_params/size"),
    "after is no number": ("GET", "/executions/x/stream?after=-1", None, "/after"),
    "unknown stream query": ("GET", "/executions/x/stream?before=1", None, "/before"),
    "unknown stream status": ("GET", "/executions/stream?status=x", None, "/status"),
    "version as text": ("GET", "/workflows/echo/versions/one", None, "/version"),
    "version beyond": ("GET", "/workflows/echo/versions/99999999999999999999", None, "/version"),
    "query on a call without": ("GET", "/workflows/echo?verbose=1", None, "/verbose"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_request_of_the_wrong_shape(host: Host, name: str) -> None:
    method, path, body, pointer = WRONG[name]
    before = host.stored()
    content = json.dumps(body) if body is not None or name == "null" else None
    answer = host.client.request(method, path, content=content, headers=JSON)
    found = problem(answer, 422, "request-invalid")
    assert pointer in [error["pointer"] for error in found["errors"]], found
    assert "Value error" not in answer.text
    if "?" in path:
        assert {error["in"] for error in found["errors"]} == {"query"}
    assert host.stored() == before


@pytest.mark.parametrize(
    "path",
    ["/workflows/none", "/executions/none", "/executions/none/steps", "/executions/none/events", "/executions/none/why",
     "/executions/none/stream", "/node-types/none", "/trigger-types/none", "/plugins/none", "/triggers/none",
     "/workflows/none/versions", "/nothing", "/workflows/", "/workflows/a%00b", "/../../etc/passwd"],
)  # fmt: skip
def test_there_is_no_such_thing(host: Host, path: str) -> None:
    problem(host.client.get(path), 404, "not-found")


@pytest.mark.parametrize("path", ["/executions/%ff", "/executions?cursor=Ren%E9"])
def test_a_url_that_is_not_utf_8(host: Host, path: str) -> None:
    problem(host.client.get(path), 400, "request-malformed")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/executions"), ("DELETE", "/workflows"), ("POST", "/plugins")])
def test_a_method_that_is_not_there(host: Host, method: str, path: str) -> None:
    answer = host.client.request(method, path)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "x"},
     {"content-type": "application/json; charset=base64"}, {"content-type": "application/yaml"},
     {"content-type": "application/json", "content-encoding": "gzip"}],
)  # fmt: skip
def test_a_type_of_body_that_is_not_taken(host: Host, headers: dict[str, str]) -> None:
    problem(host.client.post("/executions", content=START, headers=headers), 415, "unsupported-media-type")


def test_a_body_over_the_limit(host: Host) -> None:
    before = host.stored()
    big = b'{"workflow_id": "echo", "input": "' + b"x" * 17_000_000 + b'"}'
    for path in ("/executions", "/workflows", "/workflows/validate"):
        problem(host.client.post(path, content=big, headers=JSON), 413, "body-too-large")

        def chunks() -> Any:
            for start in range(0, len(big), 65_536):
                yield big[start : start + 65_536]

        problem(host.client.post(path, content=chunks(), headers=JSON), 413, "body-too-large")
    assert host.stored() == before
    assert host.start("echo", "x" * 1_000_000)["output"] == "x" * 1_000_000


def test_a_body_that_only_claims_to_be_large_is_refused_before_it_is_sent(host: Host) -> None:
    name, port = host.url.removeprefix("http://").split(":")
    with socket.create_connection((name, int(port)), timeout=10) as raw:
        raw.sendall(
            b"POST /api/v1/workflows HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999999999\r\n"
            b"authorization: Bearer " + host.key.encode() + b"\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "tab\there", "ümlaut".encode("latin-1").decode("latin-1")])
def test_an_idempotency_key_that_is_none(host: Host, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]
    body = problem(host.client.post("/executions", content=START, headers=headers), 422, "request-invalid")
    assert body["errors"][0]["in"] == "header"


def test_an_input_that_does_not_fit_is_told_by_pointer(host: Host) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    host.client.post("/workflows?id=typed", json={**ECHO, "input_schema": schema})
    before = host.stored()
    answer = host.client.post("/executions", json={"workflow_id": "typed", "input": {"n": "x"}})
    body = problem(answer, 422, "input-invalid")
    assert body["errors"][0]["pointer"] == "/n"
    assert host.stored() == before


def test_an_unknown_workflow_version_or_engine(host: Host) -> None:
    problem(host.client.post("/executions", json={"workflow_id": "none"}), 404, "not-found")
    problem(host.client.post("/executions", json={"workflow_id": "echo", "version": 99}), 404, "not-found")
    problem(host.client.post("/executions", json={"workflow_id": "echo", "engine": "steam"}), 404, "not-found")


def test_the_request_id_is_taken_when_it_is_sane(host: Host) -> None:
    assert host.client.get("/workflows", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 200, "<script>"):
        given = host.client.get("/workflows", headers={"x-request-id": odd}).headers["x-request-id"]
        assert given.startswith("rq_")


def test_a_form_that_a_body_does_not_have_is_told_in_words(host: Host) -> None:
    body = {"name": "ci", "scopes": ["read"], "labels": {"team": ""}}
    told = problem(host.client.post("/api-keys", json=body), 422, "request-invalid")
    assert "must be 1 to 128 characters" in told["detail"]
