"""Trying a webhook before it is live: drafts, test URLs, and watching what arrives."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.acceptance.triggers.conftest import SECRETS, Site, hooked
from tests.acceptance.triggers.test_senders import BODY, github


def keep_draft(site: Site, workflow: str, document: dict[str, Any]) -> int:
    answer = site.api.post(f"/workflows/{workflow}/drafts", json=document)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["version"])


@contextmanager
def listening(site: Site, workflow: str) -> Iterator[queue.Queue[tuple[str, dict[str, Any]]]]:
    """What the stream of a test URL tells, as (event, data)."""
    events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    stop = threading.Event()
    client = httpx2.Client(headers={**site.server.headers, "accept": "text/event-stream"}, timeout=30)

    def read() -> None:
        kind = ""
        try:
            with client.stream("GET", f"{site.server.url}/hooks-test/{workflow}/hook") as answer:
                assert answer.status_code == 200, answer.read()
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        events.put((kind, json.loads(line.removeprefix("data: "))))
                    if stop.is_set():
                        return
        except httpx2.TransportError:
            assert stop.is_set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield events
    finally:
        stop.set()
        client.close()


def test_a_draft_is_tried_at_its_own_url_and_then_made_current(site: Site) -> None:
    respond = {"respond": {"mode": "output"}}
    workflow = site.save(hooked("drafted", output="live", **respond))
    draft = keep_draft(
        site, workflow, hooked("drafted/{part}", output="draft of ${{ input.path_params.part }}", **respond)
    )
    assert site.web.post("/drafted").json() == "live"
    assert site.web.post("/drafted/x").status_code == 404, "the draft's path is not live"

    test = f"{site.server.url}/hooks-test/{workflow}/hook"
    key = site.server.headers
    answer = httpx2.post(f"{test}/drafted/one", headers=key)
    assert (answer.status_code, answer.json()) == (200, "draft of one")
    assert httpx2.post(f"{test}/drafted/one").status_code == 401, "the test URL asks for an API key"
    assert httpx2.post(test, headers=key).status_code == 404, "the part that varies must be given"
    assert httpx2.get(f"{test}/drafted/one", headers=key).status_code == 405
    assert httpx2.post(f"{site.server.url}/hooks-test/{workflow}/none", headers=key).status_code == 404
    assert httpx2.post(f"{site.server.url}/hooks-test/none/hook", headers=key).status_code == 404
    assert httpx2.post(f"{site.server.url}/hooks-test", headers=key).status_code == 404

    reader = site.api.post("/api-keys", json={"name": "r", "scopes": ["read", "write"]}).json()["key"]
    refused = httpx2.post(f"{test}/drafted/one", headers={"x-api-key": reader})
    assert refused.status_code == 403, "a key that may not execute starts nothing"

    newest = site.deliveries(f"{workflow}:hook")[0]
    replayed = site.api.post(f"/triggers/{workflow}:hook/deliveries/{newest['id']}/replay", params={"version": draft})
    assert site.ended(replayed.json()["id"])["version"] == draft
    live = site.api.post(f"/triggers/{workflow}:hook/deliveries/{newest['id']}/replay")
    assert site.ended(live.json()["id"])["output"] == "live"

    restored = site.api.post(f"/workflows/{workflow}/versions/{draft}/restore").json()
    assert restored["version"] == draft, "the draft itself becomes current, not a copy"
    assert site.web.post("/drafted/two").json() == "draft of two"
    assert site.web.post("/drafted").status_code == 404


def test_a_disabled_workflow_can_be_tried(site: Site) -> None:
    workflow = site.save(hooked("sleeping", output="dreaming", respond={"mode": "output"}), enabled="false")
    assert site.web.post("/sleeping").status_code == 404
    test = f"{site.server.url}/hooks-test/{workflow}/hook"
    assert httpx2.post(test, headers=site.server.headers).json() == "dreaming"
    delivery = site.deliveries(f"{workflow}:hook")[0]
    path = f"/triggers/{workflow}:hook/deliveries/{delivery['id']}"
    assert site.api.get(path).status_code == 200
    assert site.api.post(f"{path}/replay", params={"version": 1}).status_code == 202
    assert site.api.post(f"{path}/replay").status_code == 409


def test_a_real_sender_reaches_a_draft_while_someone_listens(site: Site) -> None:
    workflow = site.save(
        hooked("listened", auth={"type": "hmac", "preset": "github", "secrets": ["${{ secrets.GITHUB }}"]})
    )
    with listening(site, workflow) as events:
        kind, ready = events.get(timeout=20)
        assert kind == "ready"
        address = site.server.url + ready["url"]
        signed = {"content-type": "application/json", **github(BODY, 0)}
        taken = httpx2.post(address, content=BODY, headers=signed)
        assert taken.status_code == 202
        kind, told = events.get(timeout=20)
        assert (kind, told["execution_id"]) == ("delivery", taken.json()["execution_id"])
        assert told["payload"]["body"]["text"] == "héllo ☃"

        assert httpx2.post(address, content=BODY).status_code == 401
        kind, told = events.get(timeout=20)
        assert (kind, told["status"]) == ("refused", 401)
        assert "X-Hub-Signature-256" in told["detail"]
        assert not any(secret in json.dumps(told) for secret in SECRETS.values())

        # the live address is watched, too
        assert httpx2.post(f"{site.server.url}/hooks/listened", content=BODY).status_code == 401
        kind, told = events.get(timeout=20)
        assert (kind, told["live"], told["status"]) == ("refused", True, 401)
        taken_live = httpx2.post(f"{site.server.url}/hooks/listened", content=BODY, headers=signed)
        kind, told = events.get(timeout=20)
        assert (kind, told["live"], told["execution_id"]) == ("delivery", True, taken_live.json()["execution_id"])
        assert told["payload"]["authenticated_by"] == "github"
        leaky = json.dumps({"said": SECRETS["AICFLOW_SECRET_SLACK"]}).encode()
        sent = httpx2.post(address, content=leaky, headers={"content-type": "application/json", **github(leaky, 1)})
        assert sent.status_code == 202
        kind, told = events.get(timeout=20)
        assert kind == "delivery"
        assert "said" in json.dumps(told)
        assert SECRETS["AICFLOW_SECRET_SLACK"] not in json.dumps(told)
        with listening(site, workflow) as later:
            assert later.get(timeout=20)[0] == "ready"
            before = [later.get(timeout=20) for _ in range(2)]
            assert [(kind, told["live"]) for kind, told in before] == [("refused", False), ("refused", True)]

        # a test sends the same delivery again and again, and each time it runs
        again = httpx2.post(address, content=BODY, headers=signed).json()
        assert again["execution_id"] != taken.json()["execution_id"]
        assert "duplicate" not in again
    for _ in range(200):
        gone = httpx2.post(address, content=BODY, headers=signed)
        if gone.status_code == 404:
            break
    assert (gone.status_code, gone.json()["detail"]) == (404, "No test stream is open at this address.")
    assert httpx2.post(f"{site.server.url}/hooks/~test/", content=BODY).status_code == 404
