"""API keys: the first start, scopes, expiry, revoking."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aicflow.host.keys import is_well_formed, new_key

from .conftest import ECHO, Host, problem


def test_a_key_tells_typing_errors_by_itself() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    for key in list(keys)[:20]:
        assert is_well_formed(key)
        for place in range(5, len(key)):
            other = "A" if key[place] != "A" else "B"
            assert not is_well_formed(key[:place] + other + key[place + 1 :])
    for odd in ("", "aicf_", "aicf_" + "a" * 38, next(iter(keys)) + "x", "ä" * 43, "\0" * 43):
        assert not is_well_formed(odd)


def test_the_first_start_makes_an_admin_key_and_later_ones_use_it(new_host: Callable[..., Any], tmp_path: Path) -> None:
    with new_host() as host:
        assert host.runtime.new_admin_key == host.key
        assert host.client.get("/api-keys").json()["data"][0]["name"] == "admin"
    for name in ("admin.key", "server.secret"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("aicflow.db*"))
    assert host.key.encode() not in database, "the key itself is never kept in the store"
    with new_host() as again:
        assert again.runtime.new_admin_key is None
        assert again.key == host.key
        assert again.client.get("/workflows").status_code == 200


def test_losing_every_admin_key_is_mended_by_the_next_start(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        mine = host.client.get("/api-keys").json()["data"][0]["id"]
        assert host.client.delete(f"/api-keys/{mine}").status_code == 204
        problem(host.client.get("/workflows"), 401, "unauthorized")
    with new_host() as again:
        assert again.key != host.key
        assert again.client.get("/workflows").status_code == 200
        with again.bare(**{"x-api-key": host.key}) as old:
            problem(old.get("/workflows"), 401, "unauthorized")


def test_the_file_of_the_admin_key_follows_its_rotation(new_host: Callable[..., Any], tmp_path: Path) -> None:
    with new_host() as host:
        [admin] = host.client.get("/api-keys").json()["data"]
        other = host.client.post("/api-keys", json={"name": "other", "scopes": ["admin"]}).json()
        assert host.client.post(f"/api-keys/{other['id']}/rotate").status_code == 200
        file = tmp_path / "data" / "admin.key"
        assert file.read_text().strip() == host.key
        headers = {"idempotency-key": "once"}
        answers = [host.client.post(f"/api-keys/{admin['id']}/rotate", headers=headers) for _ in range(2)]
        assert answers[0].json()["key"] == answers[1].json()["key"] == file.read_text().strip() != host.key
        assert answers[1].headers["idempotent-replayed"] == "true"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        problem(
            host.client.post(f"/api-keys/{admin['id']}/rotate", headers=headers, json={"overlap": 1}),
            422,
            "idempotency-mismatch",
        )
        problem(host.client.post("/api-keys/none/rotate"), 404, "not-found")
        problem(host.client.post(f"/api-keys/{admin['id']}/rotate", json={"overlap": -1}), 422, "request-invalid")
        host.client.delete(f"/api-keys/{other['id']}")
        problem(host.client.post(f"/api-keys/{other['id']}/rotate"), 409, "conflict")
    with new_host() as again:
        assert again.key != host.key
        assert again.client.get("/workflows").status_code == 200


def test_an_overlap_ends_by_itself(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=9)).isoformat()
    made = host.client.post("/api-keys", json={"name": "r", "scopes": ["read"], "expires_at": soon}).json()
    new = host.client.post(f"/api-keys/{made['id']}/rotate", json={"overlap": 60}).json()
    assert (new["id"], new["expires_at"]) == (made["id"], made["expires_at"])
    assert new["previous_expires_at"] < new["expires_at"]

    def status(key: str) -> int:
        return host.client.get("/workflows", headers={"authorization": f"Bearer {key}"}).status_code

    assert (status(made["key"]), status(new["key"])) == (200, 200)
    now = host.runtime.clock.now()
    monkeypatch.setattr(host.runtime.keys._clock, "now", lambda: now + 61)
    assert (status(made["key"]), status(new["key"])) == (401, 200)
    monkeypatch.setattr(host.runtime.keys._clock, "now", lambda: now + 9 * 3600)
    assert (status(made["key"]), status(new["key"])) == (401, 401)


def test_a_key_is_used_from_its_networks_only(new_host: Callable[..., Any]) -> None:
    with new_host(proxies="127.0.0.1,10.0.0.0/8") as host:
        body = {"name": "office", "scopes": ["read"], "addresses": ["192.0.2.0/24", "2001:db8::/32"]}
        made = host.client.post("/api-keys", json=body).json()
        with host.bare(authorization=f"Bearer {made['key']}") as client:
            for forwarded, status in (
                ("192.0.2.7", 200), ("2001:db8::1", 200), ("::ffff:192.0.2.7", 200), ("192.0.2.7, 10.1.2.3", 200),
                ("192.0.3.7", 403), ("192.0.2.7, 198.51.100.1", 403), ("not an address", 403), ("", 403),
            ):  # fmt: skip
                answer = client.get("/workflows", headers={"x-forwarded-for": forwarded})
                assert answer.status_code == status, forwarded
            assert problem(client.get("/workflows"), 403, "forbidden")["detail"].endswith("from this address.")
        for wrong in ("10.0.0.1/8", "localhost", "10.0.0.0/33"):
            told = problem(host.client.post("/api-keys", json={**body, "addresses": [wrong]}), 422, "request-invalid")
            assert told["errors"][0]["pointer"] == "/addresses"


def test_every_path_but_health_and_docs_needs_a_key(host: Host) -> None:
    with host.bare() as nobody:
        for path in ("/workflows", "/executions", "/plugins", "/nothing", "/../hooks/x", "/schema/workflow"):
            assert problem(nobody.get(path), 401, "unauthorized")
        problem(nobody.post("/executions", content=b"x" * 100), 401, "unauthorized")
        for path in ("/livez", "/readyz", "/openapi.json", "/docs"):
            assert nobody.get(host.url + path).status_code == 200
    for given in ("aicf_", new_key(), host.key[:-1], host.key + "x", "Basic abc"):
        with host.bare(authorization=f"Bearer {given}") as wrong:
            assert "www-authenticate" in wrong.get("/workflows").headers
            problem(wrong.get("/workflows"), 401, "unauthorized")
    with host.bare(**{"x-api-key": host.key}) as right:
        assert right.get("/workflows").status_code == 200


CALLS = {
    "read": [("GET", "/workflows", None), ("GET", "/executions", None), ("POST", "/workflows/validate", ECHO)],
    "write": [("POST", "/workflows?enabled=false", ECHO), ("PATCH", "/workflows/scoped", {"enabled": True})],
    "execute": [("POST", "/executions", {"workflow_id": "scoped"}), ("POST", "/executions/none/cancel", None)],
    "admin": [("GET", "/api-keys", None), ("PATCH", "/node-types/test.echo", {"enabled": True})],
}


@pytest.mark.parametrize("scope", CALLS)
def test_a_key_may_do_what_its_scopes_say(host: Host, scope: str) -> None:
    host.client.post("/workflows?id=scoped", json=ECHO)
    made = host.client.post("/api-keys", json={"name": f"only {scope}", "scopes": [scope]}).json()
    with host.bare(authorization=f"bearer {made['key']}") as client:
        for wanted, calls in CALLS.items():
            for method, path, body in calls:
                answer = client.request(method, path, json=body)
                if scope in (wanted, "admin"):
                    assert answer.status_code not in (401, 403), (method, path, answer.text)
                else:
                    problem(answer, 403, "forbidden")
        problem_or_fine = client.get("/executions/none/stream")
        assert problem_or_fine.status_code == (404 if scope in ("read", "admin") else 403)


def test_a_revoked_key_is_refused_at_once(host: Host) -> None:
    made = host.client.post("/api-keys", json={"name": "short", "scopes": ["read", "read"]}).json()
    assert made["scopes"] == ["read"]
    with host.bare(authorization=f"Bearer {made['key']}") as client:
        assert client.get("/workflows").status_code == 200
        assert host.client.delete(f"/api-keys/{made['id']}").status_code == 204
        problem(client.get("/workflows"), 401, "unauthorized")
    listed = {one["id"]: one for one in host.client.get("/api-keys").json()["data"]}
    assert listed[made["id"]]["revoked_at"] is not None
    assert listed[made["id"]]["last_used_at"] is not None
    assert "key" not in listed[made["id"]]
    problem(host.client.delete("/api-keys/none"), 404, "not-found")


def test_a_key_stops_to_count_when_it_expires(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = host.client.post("/api-keys", json={"name": "brief", "scopes": ["read"], "expires_at": soon}).json()
    with host.bare(authorization=f"Bearer {made['key']}") as client:
        assert client.get("/workflows").status_code == 200
        now = host.runtime.clock.now()
        monkeypatch.setattr(host.runtime.keys._clock, "now", lambda: now + 3601)
        problem(client.get("/workflows"), 401, "unauthorized")


def test_the_list_of_keys_has_pages(host: Host) -> None:
    for number in range(3):
        host.client.post("/api-keys", json={"name": f"k{number}", "scopes": ["read"]})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = host.client.get("/api-keys", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == len(host.client.get("/api-keys?limit=200").json()["data"])
    told = problem(host.client.get("/api-keys?cursor=x"), 422, "request-invalid")
    assert told["detail"] == "'x' is not a cursor of this list; use the next_cursor of an earlier page."


def test_a_key_that_may_not_read_sees_no_values_whatever_it_starts(host: Host) -> None:
    workflow = host.save({**ECHO, "triggers": [{"id": "bell", "type": "test.bell", "params": {"tone": "blind"}}]})["id"]
    made = host.client.post("/api-keys", json={"name": "starter", "scopes": ["execute"]}).json()
    fired = host.start(workflow, "secret")["id"]
    delivery = host.client.post(f"/triggers/{workflow}:bell/fire", json={"payload": "secret"})
    deliveries = host.client.get(f"/triggers/{workflow}:bell/deliveries").json()["data"]
    assert delivery.status_code == 202
    start = {"workflow_id": workflow, "input": "secret"}
    blind = host.bare(authorization=f"Bearer {made['key']}")
    for path, body in (
        ("/executions?wait=10", start),
        (f"/executions/{fired}/rerun", {}),
        (f"/executions/{fired}/cancel", None),
        (f"/triggers/{workflow}:bell/fire", {"payload": "secret"}),
        (f"/triggers/{workflow}:bell/deliveries/{deliveries[0]['id']}/replay", None),
    ):
        answer = blind.post(path, json=body) if body is not None else blind.post(path)
        assert answer.status_code in (200, 202), answer.text
        assert "secret" not in answer.text
        assert not {"input", "output"} & answer.json().keys(), path
    assert blind.post("/executions?wait=10", json=start).json()["status"] == "succeeded"
    assert host.start(workflow, "secret")["output"] == "secret"
    blind.close()
