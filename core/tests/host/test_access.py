"""Who may call what: every route of the app, over HTTP and WebSocket, with every kind of key that must not pass.

A route that you add is walked here by itself. What it has to say is who may call it (`call("read", …)`), and what it
does about keys that are limited to workflows: see `aicflow.host.reach`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow.host.app import _mount
from aicflow.host.keys import SCOPES, new_key
from aicflow.host.reach import IN_PATH
from aicflow.kernel.records import Mount as PluginMount
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import Host, problem, run_host

REFUSED = {
    "GET /metrics": "the figures are of the whole process",
    "GET /api/v1/scaling": "the figures are of all workflows",
    "GET /api/v1/workers": "workers are of no workflow, and tell what is installed",
    "POST /api/v1/events": "an event reaches every workflow that waits for it",
    "GET /api/v1/events": "an event is of no workflow",
    "GET /api/v1/events/{event_id}": "the same",
    "GET /api/v1/secrets": "a secret is of no workflow, and the list says which use it",
    "GET /api/v1/secrets/{name}": "the same",
    "GET /api/v1/secrets-check": "the same",
    "GET /api/v1/files": "who knows a hash may read the content, so hashes are told to nobody",
    "DELETE /api/v1/files/{sha256}": "a file is of no workflow",
}
"""Routes that keys limited to workflows cannot call, and why."""

HELP = """{0} says nothing about API keys that are limited to workflows, so they are refused.
- Does it show, start or change what belongs to workflows? Then pass reach_of(request) on to what it does (its `within`
  is a filter of the stores), say call(…, limited="filtered"), and show in FILTERED below that nothing leaks.
- Does it show nothing of any workflow? Then say call(…, limited="open").
- Should limited keys not call it? Then add it to REFUSED above, with the reason."""


@dataclass(frozen=True)
class Entrance:
    """A way in: `POST /api/v1/executions`, or `WS …`."""

    method: str
    path: str
    scope: str | None
    limited: str | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def in_path(self) -> bool:
        return any(f"{{{name}}}" in self.path for name in IN_PATH)

    def url(self, values: dict[str, str]) -> str:
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: values.get(found[1], "none"), self.path)


def entrances(app: Any) -> list[Entrance]:
    """Every route that is not public, as the app has them."""
    found = []
    for route in _flat(app.router.routes):
        path = getattr(route, "path", None)
        if path is None or app.state.access.is_public(path) or isinstance(route, Mount):
            continue
        checks = [one.dependency for one in getattr(route, "dependencies", ())] or [getattr(route, "check", None)]
        rules = [one for one in checks if hasattr(one, "aicflow_scope")]
        scope, limited = (rules[0].aicflow_scope, rules[0].aicflow_limited) if rules else (None, None)
        methods = getattr(route, "methods", None) or {"WS"}
        found += [
            Entrance(method, path, scope, limited)
            for method in sorted(methods - ({"HEAD"} if "GET" in methods else set()))
        ]
    return found


def _flat(routes: Any) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from _flat(inner.routes) if inner is not None else [route]


@dataclass
class Site:
    """A host with two workflows that have everything, and keys."""

    host: Host
    mine: dict[str, str]
    theirs: dict[str, str]
    entrances: list[Entrance]
    keys: dict[str, str]
    client: httpx2.Client

    def ask(self, entrance: Entrance, key: str | None, values: dict[str, str] | None = None, body: Any = None) -> Any:
        """The answer to a request with this key; of a WebSocket the answer that refuses it."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        url = self.host.url + entrance.url(self.theirs if values is None else values)
        if entrance.method == "WS":
            try:
                with connect(url.replace("http", "ws", 1), additional_headers=headers, close_timeout=2):
                    return httpx2.Response(101)
            except InvalidStatus as error:
                answer = error.response
                headers = {name: answer.headers[name] for name in ("content-type", "x-request-id")}
                return httpx2.Response(answer.status_code, headers=headers, content=bytes(answer.body or b""))
        more = {"json": body} if entrance.method in ("POST", "PUT", "PATCH") else {}
        with self.client.stream(entrance.method, url, headers=headers, **more) as answer:
            if answer.status_code < 400 and answer.headers.get("content-type", "").startswith("text/event-stream"):
                return httpx2.Response(answer.status_code)
            answer.read()
            return answer


def document(name: str) -> dict[str, Any]:
    trigger = {"id": "bell", "type": "test.bell", "params": {"tone": name}}
    node = {"id": "say", "type": "test.echo", "params": {"value": "${{ input }}"}}
    return {
        "aicflow": 1, "name": name, "labels": {"team": name}, "triggers": [trigger], "nodes": [node],
        "output": "${{ nodes.say.output }}",
    }  # fmt: skip


def furnish(host: Host, name: str) -> dict[str, str]:
    """A workflow with all that can belong to one; the ids, by the name of the path parameter."""
    host.save(document(name), id=name)
    execution = host.start(name, f"of {name}")
    host.client.put(f"/workflows/{name}/state/a", json={"value": name})
    host.client.post(f"/triggers/{name}:bell/fire", json={"payload": name})
    [delivery] = host.client.get(f"/triggers/{name}:bell/deliveries").json()["data"]
    return {
        "workflow_id": name, "execution_id": execution["id"], "binding_id": f"{name}:bell", "version": "1",
        "delivery_id": delivery["id"], "node_id": "say", "key": "a", "type_id": "test.echo",
    }  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_host(tmp_path_factory.mktemp("data"), rate_wrong_keys="100000/s") as host:
        _mount(host.server._app, PluginMount("/extra", PlainTextResponse("extra"), scope="read"))
        mine, theirs = furnish(host, "mine"), furnish(host, "theirs")
        ring, now = host.runtime.keys, host.runtime.clock.now()

        def key(name: str, scopes: list[str], **more: Any) -> str:
            record, made = host.do(ring.create(name, scopes, **more))
            if name == "revoked":
                host.do(ring.revoke(record.id))
            return str(made)

        most = ["read", "write", "execute"]
        hidden = {"value": "a value of theirs", "labels": {"team": "theirs"}}
        assert host.client.put("/secrets/OF_THEIRS", json=hidden).status_code == 201
        keys = {
            "expired": key("expired", ["admin"], expires_at=now - 1),
            "revoked": key("revoked", ["admin"]),
            "elsewhere": key("elsewhere", ["admin"], addresses=["192.0.2.0/24"]),
            "by id": key("by id", most, workflows=["mine"]),
            "by label": key("by label", most, labels={"team": "mine"}),
            **{scope: key(scope, [scope]) for scope in SCOPES},
        }
        with httpx2.Client(timeout=20) as client:
            yield Site(host, mine, theirs, entrances(host.server._app), keys, client)


def test_every_way_in_says_who_may_use_it(site: Site) -> None:
    names = [one.name for one in site.entrances]
    assert len(names) > 40
    assert {"WS /api/v1/executions/stream", "GET /api/v1/workflows", "POST /api/v1/executions"} <= set(names)
    for entrance in site.entrances:
        assert entrance.scope in SCOPES, f'{entrance.name} asks for no scope: use call("read", …), or need("read")'
        if not entrance.in_path and entrance.scope != "admin" and entrance.name not in REFUSED:
            assert entrance.limited, HELP.format(entrance.name)
        if entrance.limited == "filtered":
            assert entrance.name in FILTERED, f"{entrance.name} is filtered: show in FILTERED that nothing leaks"
    assert set(REFUSED) | set(FILTERED) <= set(names), "the tables name what is there"


def test_no_key_and_keys_that_do_not_count_are_refused_everywhere(site: Site) -> None:
    keys = {"none": None, "unknown": new_key(), "malformed": "aicf_x", "token": "a.b.c"}
    keys |= {name: site.keys[name] for name in ("expired", "revoked")}
    for entrance in site.entrances:
        for name, key in keys.items():
            answer = site.ask(entrance, key)
            assert answer.status_code == 401, (entrance.name, name, answer.text)
            refusal(answer, entrance, 401, "unauthorized")
        refusal(site.ask(entrance, site.keys["elsewhere"]), entrance, 403, "forbidden")


def test_a_key_without_the_scope_is_refused_everywhere(site: Site) -> None:
    for entrance in site.entrances:
        for scope in SCOPES:
            if scope not in (entrance.scope, "admin"):
                answer = site.ask(entrance, site.keys[scope])
                said = refusal(answer, entrance, 403, "forbidden")
                assert "needs the scope" in said or entrance.method == "HEAD", (entrance.name, scope)


def refusal(answer: httpx2.Response, entrance: Entrance, status: int, code: str) -> str:
    """What a refusal says; checks that it is one. HEAD has no body."""
    if entrance.method == "HEAD":
        assert (answer.status_code, answer.content) == (status, b""), entrance.name
        return answer.headers["www-authenticate"] if status == 401 else ""
    return str(problem(answer, status, code)["detail"])


def same(answer: httpx2.Response, ids: dict[str, str]) -> str:
    """The answer's text without the ids that were asked for."""
    text = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
    for name, value in sorted(ids.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(f"'{value}'", name).replace(value, name) if name in IN_PATH else text
    return text


@pytest.mark.parametrize("key", ["by id", "by label"])
def test_what_is_not_there_and_what_is_not_yours_have_the_same_answer(site: Site, key: str) -> None:
    missing = site.theirs | {
        "workflow_id": "nobody", "execution_id": "ex_00000000000000000000000000", "binding_id": "nobody:bell"
    }  # fmt: skip
    walked = 0
    for entrance in site.entrances:
        if not entrance.in_path or entrance.scope == "admin":
            continue
        walked += 1
        foreign, absent = (site.ask(entrance, site.keys[key], ids) for ids in (site.theirs, missing))
        assert foreign.status_code == absent.status_code == 404, (entrance.name, foreign.text, absent.text)
        assert same(foreign, site.theirs) == same(absent, missing), entrance.name
        assert sorted(foreign.headers) == sorted(absent.headers)
        if entrance.method == "GET":
            own = site.ask(entrance, site.keys[key], site.mine)
            assert own.status_code in (200, 204, 409, 422), (entrance.name, own.text)
    assert walked > 25
    assert site.host.client.get("/workflows/theirs").json()["enabled"] is True, "and nothing was changed"


@pytest.mark.parametrize("key", ["by id", "by label"])
def test_a_limited_key_is_refused_where_there_is_no_limit(site: Site, key: str) -> None:
    for entrance in site.entrances:
        if entrance.name in REFUSED:
            assert "limited to workflows" in problem(site.ask(entrance, site.keys[key]), 403, "forbidden")["detail"]
        if entrance.scope == "admin":
            problem(site.ask(entrance, site.keys[key]), 403, "forbidden")
        if entrance.limited == "open":
            assert site.ask(entrance, site.keys[key]).status_code not in (401, 403), entrance.name


@contextmanager
def acting(site: Site, key: str) -> Iterator[httpx2.Client]:
    with site.host.bare(authorization=f"Bearer {site.keys[key]}") as client:
        yield client


def lists_workflows(site: Site, client: httpx2.Client) -> None:
    assert [one["id"] for one in client.get("/workflows").json()["data"]] == ["mine"]
    page = client.get("/workflows?limit=1").json()
    assert (len(page["data"]), page["next_cursor"]) == (1, None), "filtered before the pages are made"
    assert client.get("/workflows?labels=team=theirs").json()["data"] == []


def saves_workflows(site: Site, client: httpx2.Client) -> None:
    for name, labels in (("theirs", {"team": "mine"}), ("theirs", {}), ("new", {"team": "theirs"}), ("new", {})):
        body = {**document(name), "labels": labels, "triggers": []}
        answers = [client.post("/workflows", params={"id": id}, json=body) for id in (name, "nobody")]
        assert [one.status_code for one in answers] == [403, 403], "whether the id is taken is not told"
    current = client.get("/workflows/mine")
    changed = {**document("mine"), "labels": {"team": "mine", "env": "prod"}}
    etag = {"if-match": current.headers["etag"]}
    assert (
        "cannot choose labels"
        in problem(client.put("/workflows/mine", json=changed, headers=etag), 403, "forbidden")["detail"]
    )
    problem(client.post("/workflows/mine/drafts", json=changed), 403, "forbidden")
    taken = {**document("mine"), "triggers": document("theirs")["triggers"]}
    told = problem(client.put("/workflows/mine", json=taken, headers=etag), 422, "workflow-invalid")
    assert told["errors"][0]["code"] == "trigger.conflict"
    assert "of workflow" not in str(told), "the conflict is told, not whose trigger it is with"
    assert "of workflow" in site.host.client.put("/workflows/mine", json=taken, headers=etag).text


def validates_calls(site: Site, client: httpx2.Client) -> None:
    def calling(name: str) -> dict[str, Any]:
        node = {"id": "call", "type": "workflow.call", "params": {"workflow": name, "input": 1}}
        return {"aicflow": 1, "name": "calls", "nodes": [node]}

    def found(of: httpx2.Client, name: str, query: str = "") -> Any:
        return of.post(f"/workflows/validate{query}", json=calling(name)).json()["issues"]

    assert found(client, "mine") == []
    assert found(client, "theirs")[0]["message"] == "There is no workflow 'theirs'."
    assert found(site.host.client, "theirs") == []
    problem(client.post("/workflows/validate?id=theirs", json=calling("mine")), 404, "not-found")
    params = {"value": "${{ secrets.OF_THEIRS }}"}
    curious = {**document("theirs"), "nodes": [{"id": "say", "type": "test.echo", "params": params}]}
    for of, unknown in ((site.host.client, False), (client, True)):
        codes = [one["code"] for one in of.post("/workflows/validate", json=curious).json()["issues"]]
        assert ("ref.unknown-secret" in codes) is unknown, "secrets are not told for labels that a key cannot choose"
    taking = {"input_schema": {"type": "string"}, "triggers": []}
    if site.host.client.get("/workflows/caller").status_code == 404:
        site.host.save(calling("mine"), id="caller")
    stricter = {**document("mine"), **taking}
    told = site.host.client.post("/workflows/validate?id=mine", json=stricter).json()["issues"]
    assert "caller" in str(told)
    assert client.post("/workflows/validate?id=mine", json=stricter).json()["issues"] == []
    assert client.get("/workflows/mine/callers").json()["callers"] == []
    assert len(site.host.client.get("/workflows/mine/callers").json()["callers"]) == 1


def starts_executions(site: Site, client: httpx2.Client) -> None:
    answers = [client.post("/executions", json={"workflow_id": name, "input": 1}) for name in ("theirs", "nobody")]
    assert [one.status_code for one in answers] == [404, 404]
    texts = [same(one, {"workflow_id": name}) for one, name in zip(answers, ("theirs", "nobody"), strict=True)]
    assert texts[0] == texts[1]
    assert client.post("/executions?wait=10", json={"workflow_id": "mine", "input": 1}).json()["status"] == "succeeded"
    said = {"expression": "input", "execution_id": site.theirs["execution_id"]}
    gone = {"expression": "input", "execution_id": "ex_00000000000000000000000000"}
    foreign, absent = (client.post("/workflows/mine/preview-expression", json=body) for body in (said, gone))
    assert foreign.status_code == absent.status_code == 404
    assert same(foreign, said) == same(absent, gone)


def lists_executions(site: Site, client: httpx2.Client) -> None:
    found = client.get("/executions?limit=200").json()["data"]
    assert {one["workflow_id"] for one in found} == {"mine"}
    for query in ("workflow_id=theirs", "q=theirs", "labels=team=theirs"):
        assert client.get(f"/executions?{query}").json()["data"] == [], query


def counts_ends(site: Site, client: httpx2.Client) -> None:
    assert {one["workflow_id"] for one in site.host.client.get("/statistics").json()["workflows"]} == {"mine", "theirs"}
    found = client.get("/statistics").json()
    assert {one["workflow_id"] for one in found["workflows"]} == {"mine"}
    assert sum(found[name] for name in ("succeeded", "failed", "cancelled")) == sum(
        one[name] for one in found["workflows"] for name in ("succeeded", "failed", "cancelled")
    )
    hidden = client.get("/statistics?workflow_id=theirs").json()
    assert (hidden["workflows"], hidden["failures"], hidden["succeeded"]) == ([], [], 0)


def acts_in_bulk(call: str) -> Callable[[Site, httpx2.Client], None]:
    def act(site: Site, client: httpx2.Client) -> None:
        body = (
            {"status": ["succeeded"], "limit": 1000}
            if call == "bulk-rerun"
            else {"limit": 1000, "workflow_id": "theirs"}
        )
        before = site.host.client.get("/executions?workflow_id=theirs").json()["data"]
        answer = client.post(f"/executions/{call}", json=body)
        assert answer.status_code == 200
        ids = {one["execution_id"] for one in answer.json()["results"]}
        assert not ids & {one["id"] for one in before}
        assert bool(ids) is (call == "bulk-rerun")
        assert len(site.host.client.get("/executions?workflow_id=theirs").json()["data"]) == len(before)

    return act


def lists_triggers(site: Site, client: httpx2.Client) -> None:
    assert [one["id"] for one in client.get("/triggers").json()["data"]] == ["mine:bell"]
    assert client.get("/triggers?workflow_id=theirs").json()["data"] == []


def streams_everything(site: Site, client: httpx2.Client) -> None:
    url = site.host.url.replace("http", "ws", 1) + "/api/v1/executions/stream"
    key = str(client.headers["authorization"])
    with connect(url, additional_headers={"authorization": key}, close_timeout=2) as everything:
        for name in ("theirs", "mine", "theirs"):
            site.host.start(name, f"live of {name}")
        last = site.host.start("mine", "the last")["id"]
        seen = ""
        while last not in seen or "execution.succeeded" not in seen.rpartition(last)[0] + seen.rpartition(last)[2]:
            seen += str(everything.recv(timeout=10))
    assert "live of mine" in seen
    assert "theirs" not in seen
    with client.stream("GET", "/executions/stream") as sent:
        lines = sent.iter_lines()
        assert next(lines) == ": stream"
        site.host.start("theirs", "live of theirs")
        site.host.start("mine", "live of mine")
        for line in lines:
            assert "theirs" not in line
            if "live of mine" in line:
                return


FILTERED: dict[str, Callable[[Site, httpx2.Client], None]] = {
    "GET /api/v1/workflows": lists_workflows,
    "POST /api/v1/workflows": saves_workflows,
    "POST /api/v1/workflows/validate": validates_calls,
    "POST /api/v1/executions": starts_executions,
    "GET /api/v1/statistics": counts_ends,
    "GET /api/v1/executions": lists_executions,
    "POST /api/v1/executions/bulk-cancel": acts_in_bulk("bulk-cancel"),
    "POST /api/v1/executions/bulk-rerun": acts_in_bulk("bulk-rerun"),
    "GET /api/v1/triggers": lists_triggers,
    "GET /api/v1/executions/stream": streams_everything,
    "WS /api/v1/executions/stream": streams_everything,
}
"""Routes that show a limited key less than others, and what shows that nothing leaks."""


@pytest.mark.parametrize("key", ["by id", "by label"])
@pytest.mark.parametrize("name", FILTERED)
def test_a_limited_key_keeps_to_its_limit(site: Site, name: str, key: str) -> None:
    with acting(site, key) as client:
        FILTERED[name](site, client)


CALL = {"id": "call", "type": "workflow.call"}
BEYOND: dict[str, dict[str, Any]] = {
    "a call": {"nodes": [CALL | {"params": {"workflow": "theirs"}}]},
    "a call of what is not there": {"nodes": [CALL | {"params": {"workflow": "nobody"}}]},
    "a call by an expression": {"nodes": [CALL | {"params": {"workflow": "${{ input }}"}}]},
    "a call in a body": {
        "nodes": [{"id": "each", "map": {"over": [1], "nodes": [CALL | {"params": {"workflow": "theirs"}}]}}]
    },
    "failures": {"settings": {"on_failure": "theirs"}},
    "an end": {"triggers": [{"id": "end", "type": "trigger.workflow", "params": {"workflows": ["theirs"]}}]},
    "ends by labels": {
        "triggers": [{"id": "end", "type": "trigger.workflow", "params": {"labels": {"team": "theirs"}}}]
    },
}


@pytest.mark.parametrize("key", ["by id", "by label"])
@pytest.mark.parametrize("part", BEYOND)
def test_what_a_limited_key_saves_reaches_no_further(site: Site, key: str, part: str) -> None:
    wide = {**document("mine"), **BEYOND[part]}
    wide.pop("output")
    etag = {"if-match": site.host.client.get("/workflows/mine").headers["etag"]}
    with acting(site, key) as client:
        calls: list[tuple[Any, dict[str, Any]]] = [
            (client.put, {"url": "/workflows/mine", "headers": etag}),
            (client.post, {"url": "/workflows/mine/drafts"}),
        ]
        if key == "by label":
            calls.append((client.post, {"url": "/workflows"}))
        for call, more in calls:
            told = problem(call(**more, json=wide), 422, "workflow-invalid")["errors"]
            assert [one["code"] for one in told if one["code"] != "ref.unknown-workflow"] == [
                "ref.workflow-out-of-reach"
            ]
    assert site.host.client.get("/workflows/mine").headers["etag"] == etag["if-match"]


def test_what_a_workflow_calls_already_a_limited_key_may_leave_there(site: Site) -> None:
    wide = {**document("kept"), "nodes": [CALL | {"params": {"workflow": "theirs"}}], "triggers": []}
    wide.pop("output")
    site.host.save({**wide, "labels": {"team": "mine"}}, id="kept")
    with acting(site, "by label") as client:
        current = client.get("/workflows/kept")
        changed = {**current.json()["document"], "name": "another"}
        saved = client.put("/workflows/kept", json=changed, headers={"if-match": current.headers["etag"]})
        assert saved.status_code == 200, saved.text
        assert client.delete("/workflows/kept").status_code == 204


def test_a_repeated_request_shows_nothing_that_is_out_of_reach_by_now(site: Site) -> None:
    with acting(site, "by label") as client:
        how: dict[str, Any] = {"json": {**document("mine"), "triggers": []}, "headers": {"idempotency-key": "again"}}
        made = client.post("/workflows", **how).json()["id"]
        moved = {**document("theirs"), "triggers": [], "description": "not for you"}
        etag = {"if-match": site.host.client.get(f"/workflows/{made}").headers["etag"]}
        assert site.host.client.put(f"/workflows/{made}", json=moved, headers=etag).status_code == 200
        problem(client.post("/workflows", **how), 410, "gone")
    assert site.host.client.delete(f"/workflows/{made}").status_code == 204


def test_a_ticket_opens_streams_and_nothing_else(site: Site) -> None:
    """Whatever the ids in the path are called."""
    opened, ticket = set(), None
    for entrance in site.entrances:
        for value in ("stream", site.mine["execution_id"]):
            path = entrance.url(dict.fromkeys([*site.mine, "name", "key_id", "event_id", "sha256"], value))
            ticket = ticket or site.host.client.post("/tickets").json()["ticket"]
            if entrance.method == "WS":
                continue
            with site.client.stream(entrance.method, f"{site.host.url}{path}?ticket={ticket}") as answer:
                if answer.status_code != 401:
                    opened.add((entrance.method, path.replace(value, "ID", path.count("/") - 4)))
                    ticket = None
    assert opened == {("GET", "/api/v1/executions/stream"), ("GET", "/api/v1/executions/ID/stream")}
    assert site.host.client.get("/workflows/mine").status_code == 200


def test_an_app_of_a_plugin_is_not_for_limited_keys(site: Site) -> None:
    extra = Entrance("GET", "/extra/of", "read", None)
    assert site.ask(extra, site.keys["read"]).text == "extra"
    assert site.ask(extra, None).status_code == 401
    problem(site.ask(extra, site.keys["execute"]), 403, "forbidden")
    problem(site.ask(extra, site.keys["by label"]), 403, "forbidden")


def test_a_key_is_limited_by_what_the_workflow_says_today(site: Site, tmp_path: Path) -> None:
    with run_host(tmp_path / "data") as host:
        host.save({**document("a"), "triggers": []}, id="a")
        ring = host.runtime.keys
        _, key = host.do(ring.create("label", ["read", "write"], labels={"team": "a"}))
        with host.bare(authorization=f"Bearer {key}") as client:
            made = client.post("/workflows", json={**document("a"), "triggers": []})
            assert made.status_code == 201, "it may save what it reaches"
            assert client.delete(f"/workflows/{made.json()['id']}").status_code == 204
            assert client.get("/workflows/a").status_code == 200
            etag = {"if-match": client.get("/workflows/a").headers["etag"]}
            moved = {**document("a"), "triggers": [], "labels": {"team": "b"}}
            assert host.client.put("/workflows/a", json=moved, headers=etag).status_code == 200
            problem(client.get("/workflows/a"), 404, "not-found")
