"""Files over the API: sent once, named in inputs, read by nodes, downloaded in parts, gone when nothing needs them."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ECHO, GATE, Host, problem

CSV = b"id,total\n1,10\n2,20\n"
SHA = hashlib.sha256(CSV).hexdigest()


@pytest.fixture
def host(new_host: Callable[..., Any]) -> Iterator[Host]:
    with new_host() as running:
        yield running


def upload(host: Host, data: Any = CSV, **query: str) -> Any:
    return host.client.post("/files", content=data, params=query)


def on_disk(host: Host) -> list[Path]:
    folder = host.settings.data_dir / "files"
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "owner")


def test_what_is_no_id_of_a_file_is_told_in_words(host: Host) -> None:
    for wrong in ("x", SHA.upper(), SHA[:-1]):
        told = problem(host.client.get(f"/files/{wrong}"), 422, "request-invalid")
        assert told["detail"] == "path /sha256: must be a SHA-256: 64 of the characters 0-9 and a-f"


def test_no_pattern_is_shown_to_who_sends_something_else(host: Host) -> None:
    """Every pattern of a path or query that the API's document shows has words of its own."""
    from aicflow.host.problems import _FORMS

    document = host.client.get(f"{host.url}/openapi.json").json()
    found = {
        schema["pattern"]
        for path in document["paths"].values()
        for call in path.values()
        for parameter in call.get("parameters", ())
        if parameter["in"] in ("path", "query")  # headers are read by ourselves, with words of their own
        for schema in (parameter["schema"], *parameter["schema"].get("anyOf", ()))
        if "pattern" in schema and "succeeded" not in schema["pattern"]  # statuses, which have a list of their own
    }
    assert found - _FORMS.keys() == set()
    answer = host.client.post("/workflows", json=ECHO, params={"id": "no good"})
    assert "pattern" not in problem(answer, 422, "request-invalid")["detail"]


def test_a_file_is_uploaded_listed_and_downloaded(host: Host) -> None:
    answer = upload(host, name="C:\\exports\\orders ü.csv", type="text/csv")
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert answer.headers["location"] == f"/api/v1/files/{SHA}"
    assert file["file"] == {"$blob": SHA, "size": len(CSV), "type": "text/csv", "name": "orders ü.csv"}
    assert (file["sha256"], file["executions"]) == (SHA, 0)
    assert upload(host, name="orders ü.csv").json()["created_at"] == file["created_at"]
    page = host.client.get("/files").json()
    assert [one["sha256"] for one in page["data"]] == [SHA]

    got = host.client.get(f"/files/{SHA}")
    assert (got.status_code, got.content) == (200, CSV)
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"orders _.csv\"; filename*=UTF-8''orders%20%C3%BC.csv"
    )
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["etag"] == f'"{SHA}"'
    assert got.headers["content-type"] == "text/csv"
    head = host.client.head(f"/files/{SHA}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CSV))
    (path,) = on_disk(host)
    assert path.parent == host.settings.data_dir / "files" / SHA[:2] / SHA[2:4]
    assert path.name.startswith(SHA)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == CSV


def test_a_page_that_was_uploaded_is_never_shown_in_the_browser(host: Host) -> None:
    sha256 = upload(host, b"<script>alert(1)</script>", name='x".html', type="text/html").json()["sha256"]
    got = host.client.get(f"/files/{sha256}")
    assert got.headers["content-disposition"].startswith('attachment; filename="x_.html"')
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in got.headers["content-security-policy"]
    named = host.client.get(f"/files/{sha256}", params={"name": "../../etc/pass\r\nwd"})
    assert named.headers["content-disposition"].startswith('attachment; filename="wd"')


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-3", CSV[:4]), ("bytes=9-", CSV[9:]), ("bytes=-5", CSV[-5:]), ("bytes=4-9999", CSV[4:])],
)
def test_a_range_is_a_part(host: Host, wanted: str, part: bytes) -> None:
    upload(host)
    got = host.client.get(f"/files/{SHA}", headers={"range": wanted})
    assert (got.status_code, got.content) == (206, part)
    start = CSV.index(part)
    assert got.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(CSV)}"
    head = host.client.head(f"/files/{SHA}", headers={"range": wanted})
    assert (head.status_code, head.headers["content-length"]) == (206, str(len(part)))


def test_conditions_of_a_download(host: Host) -> None:
    upload(host)
    whole = host.client.get(f"/files/{SHA}", headers={"range": "bytes=0-3", "if-range": '"another"'})
    assert (whole.status_code, whole.content) == (200, CSV)
    part = host.client.get(f"/files/{SHA}", headers={"range": "bytes=0-3", "if-range": f'"{SHA}"'})
    assert part.status_code == 206
    assert host.client.get(f"/files/{SHA}", headers={"if-none-match": f'"{SHA}"'}).status_code == 304
    beyond = host.client.get(f"/files/{SHA}", headers={"range": f"bytes={len(CSV)}-"})
    problem(beyond, 416, "range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(CSV)}"
    problem(host.client.get(f"/files/{'0' * 64}"), 404, "not-found")
    problem(host.client.get("/files/..%2f..%2fserver.secret"), 404, "not-found")
    problem(host.client.get("/files/" + SHA.upper()), 422, "request-invalid")


def test_an_empty_file_is_a_file(host: Host) -> None:
    sha256 = upload(host, b"").json()["sha256"]
    got = host.client.get(f"/files/{sha256}")
    assert (got.status_code, got.content) == (200, b"")
    problem(host.client.get(f"/files/{sha256}", headers={"range": "bytes=0-"}), 416, "range-not-satisfiable")


def test_an_execution_takes_files_and_holds_them(host: Host) -> None:
    upload(host, name="orders.csv", type="text/csv")
    echo = {**ECHO, "nodes": [{"id": "one", "type": "test.echo", "params": {"value": "${{ input.orders.size }}"}}]}
    workflow = host.save({**echo, "output": {"size": "${{ nodes.one.output }}", "file": "${{ input.orders }}"}})
    lied = {"$blob": SHA, "size": 1_000_000_000, "name": "renamed.csv"}
    execution = host.start(workflow["id"], {"orders": lied})
    true = {"$blob": SHA, "size": len(CSV), "type": "text/csv", "name": "renamed.csv"}
    assert execution["output"] == {"size": len(CSV), "file": true}
    assert execution["input"] == {"orders": true}
    assert host.client.get("/files").json()["data"][0]["executions"] == 1
    problem(host.client.delete(f"/files/{SHA}"), 409, "file-in-use")
    unknown = host.client.post(
        "/executions", json={"workflow_id": workflow["id"], "input": {"orders": {"$blob": "0" * 64}}}
    )
    (error,) = problem(unknown, 422, "input-invalid")["errors"]
    assert (error["code"], error["pointer"]) == ("input.file-not-found", "/orders")


def test_a_file_is_deleted_and_can_come_again(host: Host) -> None:
    upload(host)
    assert host.client.delete(f"/files/{SHA}").status_code == 204
    assert on_disk(host) == []
    problem(host.client.delete(f"/files/{SHA}"), 404, "not-found")
    assert upload(host).status_code == 201
    assert host.client.get(f"/files/{SHA}").content == CSV


def test_what_is_too_large_leaves_nothing_behind(new_host: Callable[..., Any]) -> None:
    def chunked(size: int) -> Iterator[bytes]:
        for _ in range(size // 100):
            yield b"x" * 100

    with new_host(max_file_bytes=1000, files_quota=1500) as host:
        problem(upload(host, b"x" * 1001), 413, "file-too-large")
        problem(upload(host, chunked(2000)), 413, "file-too-large")
        assert upload(host, b"y" * 1000).status_code == 201
        full = problem(upload(host, b"z" * 600), 507, "files-full")
        assert "AICFLOW_FILES_QUOTA" in full["hint"]
        problem(upload(host, chunked(600)), 507, "files-full")
        assert upload(host, b"z" * 500).status_code == 201
        assert len(on_disk(host)) == 2
        zipped = host.client.post("/files", content=b"x", headers={"content-encoding": "gzip"})
        problem(zipped, 415, "unsupported-media-type")
        problem(host.client.post("/files", files={"file": b"x"}), 415, "unsupported-media-type")


def test_an_upload_that_breaks_off_leaves_nothing_behind(host: Host) -> None:
    address = host.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as line:
        head = f"POST /api/v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {host.key}\r\ncontent-length: 5000000"
        line.sendall(head.encode() + b"\r\n\r\n" + b"x" * 2_000_000)
        host.until(lambda: on_disk(host))
    host.until(lambda: not on_disk(host))
    assert host.client.get("/files").json()["data"] == []


def test_an_input_holds_its_files_from_the_start(host: Host, gate: threading.Event) -> None:
    upload(host)
    workflow = host.save(GATE)
    host.start(workflow["id"], {"orders": [{"$blob": SHA}]}, wait=None)
    problem(host.client.delete(f"/files/{SHA}"), 409, "file-in-use")


def test_what_a_step_returns_holds_the_files_that_it_names(host: Host) -> None:
    upload(host)
    echo = {**ECHO, "nodes": [{"id": "say", "type": "test.echo", "params": {"value": {"orders": {"$blob": SHA}}}}]}
    workflow = host.save({**echo, "output": "none"})
    host.start(workflow["id"])
    problem(host.client.delete(f"/files/{SHA}"), 409, "file-in-use")
