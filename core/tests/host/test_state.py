"""State of workflows over the API: read, changed under conditions, and kept apart."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ECHO, Host, problem


@pytest.fixture
def path(host: Host) -> str:
    return f"/workflows/{host.save(ECHO)['id']}/state"


def test_a_value_is_kept_changed_and_forgotten(host: Host, path: str) -> None:
    client = host.client
    made = client.put(f"{path}/cursor", json={"value": {"page": 3}})
    assert (made.status_code, made.headers["etag"]) == (200, '"1"')
    assert made.json()["value"] == {"page": 3}
    assert client.get(f"{path}/cursor").json() == made.json()
    assert client.put(f"{path}/cursor", json={"value": 4}).json()["version"] == 2
    assert client.delete(f"{path}/cursor").status_code == 204
    problem(client.get(f"{path}/cursor"), 404, "not-found")
    problem(client.delete(f"{path}/cursor"), 404, "not-found")


def test_conditions_keep_changes_from_overwriting_each_other(host: Host, path: str) -> None:
    client = host.client
    first = {"if-none-match": "*"}
    assert client.put(f"{path}/a", json={"value": 1}, headers=first).status_code == 200
    problem(client.put(f"{path}/a", json={"value": 2}, headers=first), 412, "revision-mismatch")
    assert client.put(f"{path}/a", json={"value": 2}, headers={"if-match": '"1"'}).json()["version"] == 2
    for tag in ('"1"', "nonsense", 'W/"2"'):
        problem(client.put(f"{path}/a", json={"value": 3}, headers={"if-match": tag}), 412, "revision-mismatch")
        problem(client.delete(f"{path}/a", headers={"if-match": tag}), 412, "revision-mismatch")
    assert client.get(f"{path}/a").json()["value"] == 2
    assert client.delete(f"{path}/a", headers={"if-match": '"2"'}).status_code == 204


def test_entries_are_listed_by_key_in_pages(host: Host, path: str) -> None:
    for key in ("b", "a:2", "a:1"):
        host.client.put(f"{path}/{key}", json={"value": key})
    page = host.client.get(path, params={"prefix": "a:", "limit": 1}).json()
    assert [entry["key"] for entry in page["data"]] == ["a:1"]
    rest = host.client.get(path, params={"prefix": "a:", "cursor": page["next_cursor"]}).json()
    assert [entry["key"] for entry in rest["data"]] == ["a:2"]
    problem(host.client.get(path, params={"cursor": "x"}), 422, "request-invalid")


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("a b", {"value": 1}, 422),
        ("a", {}, 422),
        ("a", {"value": 1, "lifetime": 0}, 422),
        ("a", {"value": 1, "ttl": 5}, 422),
        ("a", {"value": "x" * 300_000}, 422),
    ],
)
def test_what_cannot_be_kept_says_why(host: Host, path: str, key: str, body: dict[str, Any], status: int) -> None:
    assert problem(host.client.put(f"{path}/{key}", json=body), status, "request-invalid")
    assert host.client.get(path).json()["data"] == []


def test_unknown_workflows_and_weak_keys(host: Host, path: str) -> None:
    problem(host.client.get("/workflows/none/state"), 404, "not-found")
    problem(host.client.put("/workflows/none/state/a", json={"value": 1}), 404, "not-found")
    for answer in (host.client.get("/workflows/none/state/a"), host.client.delete("/workflows/none/state/a")):
        assert problem(answer, 404, "not-found")["detail"] == "There is no workflow 'none'."
    assert problem(host.client.get(f"{path}/a"), 404, "not-found")["detail"] == "There is no state 'a'."
    reader = host.client.post("/api-keys", json={"name": "r", "scopes": ["read"]}).json()["key"]
    with host.bare(**{"x-api-key": reader}) as client:
        assert client.get(path).status_code == 200
        problem(client.put(f"{path}/a", json={"value": 1}), 403, "forbidden")
