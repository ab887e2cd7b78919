"""Somebody answers by a link: with a browser or plain HTTP, once, in time, over crashes, in maps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from selectolax.lexbor import LexborHTMLParser

from tests.support.server import Server, start_server

LIGHT = {
    "AICFLOW_ENGINE": "native",
    "AICFLOW_BLOCKED_PLUGINS": "agent,http,python",
    "AICFLOW_PUBLIC_URL": "https://flow.example.com/",
}
ORDER = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "minimum": 1, "title": "Amount"},
        "mail": {"type": "string", "format": "email"},
        "speed": {"enum": ["slow", "fast"]},
        "agreed": {"type": "boolean", "title": "<b>I agree</b>"},
        "rows": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["amount", "mail"],
    "additionalProperties": False,
}


class Place:
    """A data folder, the server on it, and what stories need of it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.start()

    def start(self) -> None:
        self.server: Server = start_server(self.data, LIGHT)
        self.api = httpx2.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=30)
        self.web = httpx2.Client(base_url=self.server.url, timeout=30)

    def kill(self) -> None:
        self.api.close()
        self.web.close()
        self.server.kill()

    def save(self, nodes: list[dict[str, Any]], **rest: Any) -> str:
        document = {"aicflow": 1, "name": "forms", "nodes": nodes, **rest}
        answer = self.api.post("/workflows", json=document)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def run(self, nodes: list[dict[str, Any]], **rest: Any) -> str:
        return str(self.api.post("/executions", json={"workflow_id": self.save(nodes, **rest)}).json()["id"])

    def link(self, execution_id: str, step_id: str = "ask", which: int = 0) -> str:
        """The path of a link, as soon as the step waits."""

        def found() -> str | None:
            answer = self.api.get(f"{self.server.url}/form-links/{execution_id}/{step_id}")
            return answer.json()["data"][which]["link"] if answer.status_code == 200 else None

        return self.path(until(found))

    @staticmethod
    def path(link: str) -> str:
        assert link.startswith("https://flow.example.com/forms/")
        return link.removeprefix("https://flow.example.com")

    def ended(self, execution_id: str) -> dict[str, Any]:
        return until(lambda: (one := self.api.get(f"/executions/{execution_id}").json())["finished_at"] and one)

    def executions(self, workflow_id: str) -> list[dict[str, Any]]:
        """All of a workflow, oldest first, whole."""
        page = self.api.get("/executions", params={"workflow_id": workflow_id, "limit": 100}).json()["data"]
        return [self.api.get(f"/executions/{one['id']}").json() for one in reversed(page)]


def until[T](ask: Callable[[], T | None], seconds: float = 30) -> T:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return answer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("forms") / "data")
    yield made
    made.kill()


def ask(**params: Any) -> dict[str, Any]:
    return {"id": "ask", "type": "form.wait", "params": {"title": "Pay?", **params}}


def test_an_approval_by_two_clicks(place: Place) -> None:
    nodes = [ask(approvers=["ann@example.com", "bob"], message="<script>alert(1)</script>")]
    nodes += [{"id": one, "type": "data.set", "params": {"value": {"is": one}}} for one in ("yes", "no", "late")]
    edges = [
        {"from": "ask", "port": p, "to": t} for p, t in (("approve", "yes"), ("reject", "no"), ("timeout", "late"))
    ]
    execution_id = place.run(nodes, edges=edges, output="${{ nodes.ask.output }}")
    link = place.link(execution_id)
    for _ in range(3):  # mail scanners look at links
        page = place.web.get(link)
        assert place.web.head(link).status_code == page.status_code == 200
    html = LexborHTMLParser(page.text)
    assert html.css_first("h1").text() == "Pay?"
    assert "For ann@example.com." in html.css_first(".about").text()
    assert not html.css("script")
    assert "<script>alert(1)</script>" in html.css_first(".message").text()
    assert [one.attributes["value"] for one in html.css(".actions button")]
    assert "disabled" in html.css_first("button").attributes, "the Enter key must not approve" == ["approve", "reject"]
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    sent = place.web.post(link, data={"choice": "reject", "comment": "Too much"})
    assert sent.status_code == 200
    assert "Thank you" in sent.text
    ended = place.ended(execution_id)
    at = ended["output"].pop("at")
    assert at.endswith("Z")
    assert ended["output"] == {
        "answered": True,
        "choice": "reject",
        "answer": {"comment": "Too much"},
        "by": "ann@example.com",
    }
    statuses = {
        one["node_id"]: one["status"] for one in place.api.get(f"/executions/{execution_id}/steps").json()["data"]
    }
    assert statuses == {"ask": "succeeded", "yes": "skipped", "no": "succeeded", "late": "skipped"}
    for other in (link, link):
        again = place.web.post(other, data={"choice": "approve"})
        assert again.status_code == place.web.get(other).status_code == 410
        assert "answered already" in again.text
    events = place.api.get(f"/executions/{execution_id}/events").text
    assert link.rpartition("/")[2] not in events, "who may only read must not be able to answer"


def test_a_form_keeps_what_was_typed_and_shows_errors_at_their_fields(place: Place) -> None:
    execution_id = place.run([ask(answer_schema=ORDER)])
    link = place.link(execution_id)
    html = LexborHTMLParser(place.web.get(link).text)
    labels = {one.attributes["for"]: one.text() for one in html.css("label[for]")}
    for control in html.css("input:not([type=radio]), textarea, select"):
        assert control.attributes["id"] in labels
    assert "<b>I agree</b>" in labels.values()
    assert html.css_first("[name=amount]").attributes["type"] == "number"
    assert html.css_first("textarea[name=rows]") is not None
    typed = {"amount": "0", "mail": 'x"><script>', "speed": "fast", "rows": "[1, "}
    answer = place.web.post(link, data=typed)
    assert answer.status_code == 422
    html = LexborHTMLParser(answer.text)
    assert not html.css("script")
    assert html.css_first("[role=alert]") is not None
    rows = html.css_first("[name=rows]")
    assert rows.attributes["aria-invalid"] == "true"
    assert "not JSON" in html.css_first(f"#{rows.attributes['aria-describedby'].split()[-1]}").text()
    answer = place.web.post(link, data=typed | {"rows": "[1, 2]"})
    html = LexborHTMLParser(answer.text)
    for name in ("amount", "mail"):
        field = html.css_first(f"[name={name}]")
        assert field.attributes["value"] == typed[name]
        assert html.css_first(f"#{field.attributes['aria-describedby'].split()[-1]}").text()
    assert "checked" in html.css_first("[name=speed][value=fast]").attributes
    sent = place.web.post(link, data={"amount": "3", "mail": "a@example.com", "agreed": "true", "rows": "[1, 2]"})
    assert sent.status_code == 200
    output = place.ended(execution_id)["output"]
    assert output["answer"] == {"amount": 3, "mail": "a@example.com", "agreed": True, "rows": [1, 2]}
    assert (output["choice"], output["by"]) == (None, None)


def test_programs_answer_with_json(place: Place) -> None:
    execution_id = place.run([ask(answer_schema=ORDER, choices=["pay", "hold"])])
    link = place.link(execution_id)
    good = {"choice": "pay", "answer": {"amount": 1, "mail": "a@example.com"}}
    for bad, status, pointer in (
        ({**good, "answer": {"amount": 0, "mail": "a@example.com"}}, 422, "/amount"),
        ({**good, "choice": "steal"}, 422, "/choice"),
        ({**good, "by": "the king", "answer": None}, 422, ""),
        ({**good, "amount": 1}, 422, None),
        ([], 422, None),
    ):
        answer = place.web.post(link, json=bad)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        if pointer is not None:
            assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"x", "text/plain", 415),
        (b"a=" + b"x" * 300_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a=1" for _ in range(2_000)), "application/x-www-form-urlencoded", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
    ):
        assert place.web.post(link, content=body, headers={"content-type": kind}).status_code == status
    assert place.web.put(link, json=good).status_code == 405
    assert place.web.post(link, json={**good, "by": "the king"}).json() == {"accepted": True}
    output = place.ended(execution_id)["output"]
    assert (output["choice"], output["by"]) == ("pay", None), "who answers is not who they say"
    assert place.web.post(link, json=good).json()["status"] == 410


def test_the_api_answers_as_always(place: Place) -> None:
    execution_id = place.run([ask()])
    link = place.link(execution_id)
    refused = place.api.post(f"/executions/{execution_id}/resume", json={"value": {"choice": "perhaps"}})
    assert refused.status_code == 422
    value = {"choice": "approve", "by": "the API"}
    answer = place.api.post(f"/executions/{execution_id}/resume", json={"value": value})
    assert answer.status_code == 202, answer.text
    output = place.ended(execution_id)["output"]
    assert (output["choice"], output["by"]) == ("approve", "the API")
    assert place.web.get(link).status_code == 410


def test_links_need_the_scope_execute(place: Place) -> None:
    execution_id = place.run([ask()])
    place.link(execution_id)
    url = f"{place.server.url}/form-links/{execution_id}/ask"
    assert place.web.get(url).status_code == 401
    key = place.api.post("/api-keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    assert place.web.get(url, headers={"authorization": f"Bearer {key}"}).status_code == 403
    assert place.api.get(f"{place.server.url}/form-links/{execution_id}/none").status_code == 404


def test_a_link_cannot_be_made_or_changed(place: Place) -> None:
    link = place.link(place.run([ask(approvers=["ann"])]))
    token = link.rpartition("/")[2]
    chance = random.Random(7)
    alphabet = "ABCDEFabcdef0123456789-_."
    for _ in range(300):
        at = chance.randrange(len(token) - 1)  # the last character has bits that say nothing
        bad = token[:at] + chance.choice(alphabet) + token[at + chance.randrange(2) :]
        if bad == token:
            continue
        answer = place.web.get(f"/forms/{bad}")
        assert answer.status_code == 404, bad
        assert "This link is not valid" in answer.text
    for bad in ("", "x", token + "A", token.partition(".")[0], "A" * 5_000, "%00", "é", "start", "start/x"):
        assert place.web.post(f"/forms/{bad}", data={"choice": "approve"}).status_code == 404, bad
    assert place.web.get(link).status_code == 200


def test_of_many_answers_at_once_one_counts(place: Place) -> None:
    execution_id = place.run([ask(approvers=[str(n) for n in range(8)])])
    links = [place.link(execution_id, which=n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda link: place.web.post(link, data={"choice": "approve"}).status_code, links))
    assert sorted(statuses) == [200] + [410] * 7
    assert place.ended(execution_id)["output"]["by"] == str(statuses.index(200))


def test_nobody_answers_in_time_and_it_escalates(place: Place) -> None:
    boss = {"id": "boss", "type": "form.wait", "params": {"title": "Ann is silent. Pay?", "approvers": ["boss"]}}
    nodes = [ask(approvers=["ann"], seconds=1), boss]
    execution_id = place.run(nodes, edges=[{"from": "ask", "port": "timeout", "to": "boss"}])
    ann = place.link(execution_id)
    boss_link = place.link(execution_id, "boss")
    late = place.web.post(ann, data={"choice": "approve"})
    assert late.status_code == 410
    assert "time for an answer is over" in late.text
    assert place.web.post(boss_link, data={"choice": "approve"}).status_code == 200
    assert place.ended(execution_id)["output"]["by"] == "boss"


def test_a_cancelled_execution_needs_no_answer(place: Place) -> None:
    execution_id = place.run([ask()])
    link = place.link(execution_id)
    place.api.post(f"/executions/{execution_id}/cancel")
    place.ended(execution_id)
    assert place.web.get(link).status_code == place.web.post(link, data={"choice": "approve"}).status_code == 410


NOTE = [{"id": "note", "type": "data.set", "params": {"value": {"got": "${{ input }}"}}}]


def test_notices_and_reminders_carry_the_link(place: Place) -> None:
    mailer = place.save(NOTE)
    execution_id = place.run([ask(approvers=["ann", "bob"], notify=mailer, remind_after=1, reminders=1, seconds=60)])
    sent = until(lambda: len(found := place.executions(mailer)) == 4 and found)
    inputs = [one["input"] for one in sent]
    assert [(one["approver"], one["reminder"]) for one in inputs] == [("ann", 0), ("bob", 0), ("ann", 1), ("bob", 1)]
    assert {one["execution_id"] for one in inputs} == {execution_id}
    assert len({one["expires_at"] for one in inputs}) == 1
    assert inputs[0]["link"] == inputs[2]["link"] != inputs[1]["link"]
    assert place.web.post(place.path(inputs[1]["link"]), data={"choice": "approve"}).status_code == 200
    assert place.ended(execution_id)["output"]["by"] == "bob"
    assert place.web.get(place.path(inputs[0]["link"])).status_code == 410
    assert len(place.executions(mailer)) == 4


@pytest.mark.slow
def test_old_links_and_reminders_survive_kills(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    mailer = place.save(NOTE)
    params = {"notify": mailer, "remind_after": 1, "reminders": 3, "seconds": 60}
    execution_id = place.run([ask(approvers=["ann"], **params)])
    chance = random.Random(11)
    for _ in range(2):
        time.sleep(chance.uniform(0.1, 1.0))
        place.kill()
        place.start()
    sent = until(lambda: len(found := place.executions(mailer)) == 4 and found)
    assert [one["input"]["reminder"] for one in sent] == [0, 1, 2, 3]
    assert len({one["input"]["link"] for one in sent}) == 1
    place.kill()
    place.start()
    assert place.web.post(place.path(sent[0]["input"]["link"]), data={"choice": "approve"}).status_code == 200
    assert place.ended(execution_id)["output"]["choice"] == "approve"
    assert len(place.executions(mailer)) == 4
    place.kill()


@pytest.mark.slow
def test_an_accepted_answer_counts_whenever_it_comes(tmp_path: Path) -> None:
    """While a reminder is sent, as the time ends, and when the server is killed right after."""
    place = Place(tmp_path / "data")
    mailer = place.save(NOTE)
    notice = {"notify": mailer, "remind_after": 1}
    ends = place.save([ask(**notice, reminders=1, seconds=2)])
    stays = place.save([ask(**notice, reminders=2, seconds=600)])
    chance = random.Random(3)

    def answer(execution_id: str, at: float) -> int:
        link = place.link(execution_id)
        time.sleep(max(0.0, at - time.time()))
        try:
            return place.web.post(link, data={"choice": "approve"}).status_code
        except httpx2.HTTPError:
            return 0

    def answers(workflow_id: str, moments: list[float], kill_at: float | None = None) -> dict[str, int]:
        start = {"workflow_id": workflow_id}
        ids = [place.api.post("/executions", json=start).json()["id"] for _ in moments]
        began = time.time()
        with ThreadPoolExecutor(len(ids)) as pool:
            running = [pool.submit(answer, one, began + moment) for one, moment in zip(ids, moments, strict=True)]
            if kill_at is not None:
                time.sleep(kill_at)
                place.server.kill()
            return dict(zip(ids, [one.result() for one in running], strict=True))

    for execution_id, status in answers(
        ends, [n + chance.uniform(-0.1, 0.1) for n in (1, 2) for _ in range(12)]
    ).items():
        assert (status, place.ended(execution_id)["output"]["answered"]) in ((200, True), (410, False))
    statuses = answers(stays, [chance.uniform(0.8, 1.3) for _ in range(20)], 1.1)
    place.kill()
    place.start()
    for execution_id, status in statuses.items():
        if status == 200:
            assert place.ended(execution_id)["output"]["choice"] == "approve"
    notices = [(one["input"]["execution_id"], one["input"]["reminder"]) for one in place.executions(mailer)]
    assert len(notices) == len(set(notices)) > 20
    place.kill()


@pytest.mark.slow
def test_items_of_a_map_are_answered_after_a_kill(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    body = {"over": ["a", "b"], "as": "one", "nodes": [ask(title="Is ${{ one }} good?")]}
    each = {"id": "each", "map": body | {"output": "${{ nodes.ask.output.choice }}"}}
    execution_id = place.run([each])
    links = [place.link(execution_id, f"each[{index}].ask") for index in range(2)]
    place.kill()
    place.start()
    assert place.web.post(links[1], data={"choice": "reject"}).status_code == 200
    place.kill()
    place.start()
    assert place.web.post(links[0], data={"choice": "approve"}).status_code == 200
    assert place.ended(execution_id)["output"]["items"] == ["approve", "reject"]
    place.kill()


def start_form(path: str, **params: Any) -> dict[str, Any]:
    return {
        "id": "page",
        "type": "trigger.form",
        "params": {"path": path, "title": "Order & pay", "answer_schema": ORDER, **params},
        "input": "${{ trigger.answer }}",
    }


def test_a_form_starts_an_execution(place: Place) -> None:
    workflow_id = place.save(NOTE, triggers=[start_form("shop/orders", thanks="We ship <soon>.")], input_schema=ORDER)
    url = "/forms/start/shop/orders"
    html = LexborHTMLParser(place.web.get(url).text)
    assert html.css_first("h1").text() == "Order & pay"
    submission = html.css_first("[name=_submission]").attributes["value"]
    bad = place.web.post(url, data={"_submission": submission, "amount": "many"})
    assert bad.status_code == 422
    html = LexborHTMLParser(bad.text)
    assert html.css_first("[name=_submission]").attributes["value"] == submission
    assert html.css_first("[name=amount]").attributes["value"] == "many"
    good = {"_submission": submission, "amount": "2", "mail": "a@example.com"}
    for _ in range(2):  # a double click
        sent = place.web.post(url, data=good)
        assert sent.status_code == 200
        assert "We ship &lt;soon&gt;." in sent.text
    (execution,) = place.executions(workflow_id)
    assert place.ended(execution["id"])["output"]["got"] == {"amount": 2, "mail": "a@example.com", "agreed": False}
    answer = place.web.post(url, json={"answer": {"amount": 1, "mail": "nobody"}})
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/mail"]
    assert place.web.post(url, json={"answer": {"amount": 1, "mail": "a@example.com"}}).json() == {"accepted": True}
    assert place.api.patch(f"/workflows/{workflow_id}", json={"enabled": False}, headers={"if-match": "*"}).is_success
    assert place.web.get(url).status_code == 404


def test_a_form_is_made_of_what_the_workflow_takes(place: Place) -> None:
    page = start_form("takes")
    del page["params"]["answer_schema"]
    note = {"aicflow": 1, "name": "takes", "nodes": NOTE}
    refused = place.api.post("/workflows", json={**note, "triggers": [page]}).json()
    assert [(one["code"], one["pointer"]) for one in refused["errors"]] == [("param.missing", "/triggers/0/params")]
    place.save(NOTE, triggers=[page], input_schema=ORDER)
    html = LexborHTMLParser(place.web.get("/forms/start/takes").text)
    assert html.css_first("[name=amount]") is not None
    assert place.web.post("/forms/start/takes", data={"amount": "many"}).status_code == 422
    misspelt = {**page, "input": "${{ trigger.answer.amuont }}"}
    wrong = {**note, "triggers": [misspelt], "input_schema": {**ORDER, "additionalProperties": False}}
    found = place.api.post("/workflows/validate", json=wrong).json()["issues"]
    assert "type.unknown-field" in [one["code"] for one in found]


def test_a_form_may_lead_elsewhere(place: Place) -> None:
    place.save(NOTE, triggers=[start_form("away", redirect="https://shop.example/thanks?a=1")])
    assert (
        "form-action 'self' https://shop.example;"
        in place.web.get("/forms/start/away").headers["content-security-policy"]
    )
    sent = place.web.post("/forms/start/away", data={"amount": "2", "mail": "a@example.com"})
    assert (sent.status_code, sent.headers["location"]) == (303, "https://shop.example/thanks?a=1")


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"answer_schema": {"type": "strin"}}, "/nodes/0/params/answer_schema"),
        ({"answer_schema": {"$ref": "http://127.0.0.1:9/x"}}, "/nodes/0/params/answer_schema"),
        ({"answer_schema": {"description": "x" * 70_000}}, "/nodes/0/params/answer_schema"),
        ({"choices": ["approve", "${{ input.x }}"]}, "/nodes/0/params/choices"),
        ({"choices": ["timeout"]}, "/nodes/0/params"),
        ({"remind_after": 60}, "/nodes/0/params"),
    ],
)
def test_what_cannot_work_is_not_saved(place: Place, params: dict[str, Any], pointer: str) -> None:
    document = {"aicflow": 1, "name": "x", "nodes": [ask(**params)]}
    answer = place.api.post("/workflows", json=document)
    assert answer.status_code == 422
    assert any(one["pointer"].startswith(pointer) for one in answer.json()["errors"])
