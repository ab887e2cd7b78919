"""Looking after a site: the overview, triggers with what arrived for them, secrets, keys, node types, the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .conftest import Server, axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

ECHO = [{"id": "say", "type": "python.code", "params": {"code": "return inputs['x']", "inputs": {"x": "${{ input }}"}}}]
FAILS = [{"id": "bad", "type": "python.code", "params": {"code": "raise ValueError('<b>no</b>')"}}]


def row(page: Page, text: str, table: str) -> Page:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)  # type: ignore[return-value]


def test_the_overview_says_how_executions_ended(server: Server, signed_in: Callable[..., Page]) -> None:
    server.save("good", nodes=ECHO)
    server.save("bad", nodes=FAILS)
    for _ in range(3):
        server.run("good", 1, wait=20)
    failed = server.run("bad", wait=20)
    page = signed_in("overview")
    chart = page.get_by_role("region", name="Executions that ended")
    chart.get_by_text("As a table").click()
    figures = chart.get_by_role("row").filter(has_text="3").last
    assert figures.get_by_role("cell").all_inner_texts()[1:] == ["3", "1", "0"]
    row(page, "good", "Workflows").get_by_text("100%").wait_for()
    line = row(page, "code-raised", "Most frequent failures")
    line.get_by_role("link", name=failed["id"]).click()
    page.wait_for_url(f"**/executions/{failed['id']}")
    page.go_back()
    page.get_by_label("Time").select_option("7d")
    row(page, "good", "Workflows").wait_for()
    assert "range=7d" in page.url
    row(page, "bad", "Workflows").get_by_role("link", name="1").click()
    page.get_by_role("table", name="Executions").get_by_role("row").filter(has_text=failed["id"]).wait_for()


def test_a_secret_is_written_used_and_never_shown(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("secrets")
    page.get_by_role("button", name="Add a secret…").click()
    dialog = page.get_by_role("dialog", name="Add a secret")
    dialog.get_by_label("Name").fill("SHOP_TOKEN")
    dialog.get_by_label("Value").fill("correct-horse-battery")
    dialog.get_by_label("What it is").fill("Token of the shop")
    dialog.get_by_role("button", name="Save").click()
    line = row(page, "SHOP_TOKEN", "Secrets")
    line.get_by_text("Token of the shop").wait_for()
    auth = {"type": "bearer", "token": "${{ secrets.SHOP_TOKEN }}"}
    nodes = [
        {"id": "ask", "type": "wait", "params": {"answer_schema": True}},
        {"id": "get", "type": "http.request", "params": {"url": "https://a.test", "auth": auth}},
    ]
    document = {"nodes": nodes, "edges": [{"from": "ask", "to": "get"}]}
    server.save("shop", **document)
    under_way = server.run("shop")["id"]
    page.reload()
    line.get_by_text("1 workflow").click()
    line.get_by_text("shop /nodes/1/params/auth/token").wait_for()
    assert "correct-horse" not in page.content()
    page.get_by_role("button", name="Delete SHOP_TOKEN").click()
    dialog = page.get_by_role("dialog", name="Delete a secret")
    dialog.get_by_text("Their executions fail without it").wait_for()
    dialog.get_by_role("button", name="Delete").click()
    line.wait_for(state="detached")
    page.reload()
    missing = page.get_by_role("region", name="What is missing")
    missing.get_by_text("SHOP_TOKEN is named in shop").wait_for()
    tag = server.client.get("/workflows/shop").headers["etag"]
    newer = {"aicflow": 1, "name": "shop", "nodes": nodes[:1]}
    assert server.client.put("/workflows/shop", json=newer, headers={"if-match": tag}).is_success
    (use,) = server.client.get("/secrets-check").json()["unresolved"]
    assert (use["version"], use["node_id"], use["executions"]) == (1, "get", [under_way])
    page.reload()
    missing.get_by_role("link", name=under_way).wait_for()  # it still runs the version that names it
    assert axe(page) == []


def test_a_key_is_shown_once_and_revoked(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("keys")
    page.get_by_role("button", name="New key…").click()
    dialog = page.get_by_role("dialog", name="New API key")
    dialog.get_by_label("Name").fill("reader")
    dialog.get_by_role("button", name="Create").click()
    key = dialog.locator("pre").inner_text()
    with_key = {"authorization": f"Bearer {key}"}
    assert server.client.get("/workflows", headers=with_key).status_code == 200
    dialog.get_by_role("button", name="Done").click()
    assert key not in page.content()
    page.get_by_role("button", name="Revoke reader").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    row(page, "reader", "API keys").get_by_text("revoked").wait_for()
    assert server.client.get("/workflows", headers=with_key).status_code == 401


def test_node_types_are_found_and_switched_off(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("node-types")
    page.get_by_label("Name or purpose").fill("xml")
    page.get_by_role("heading", name="http.request").wait_for(state="detached")
    page.get_by_label("Name or purpose").fill("http.request")
    card = page.get_by_role("listitem").filter(has_text="http.request").first
    card.get_by_text("Documentation, params and errors").click()
    card.get_by_role("cell", name="url", exact=True).wait_for()
    page.get_by_role("button", name="Switch off http.request").click()
    page.get_by_role("button", name="Switch on http.request").wait_for()
    assert server.client.get("/node-types/http.request").json()["enabled"] is False
    page.get_by_role("button", name="Switch on http.request").click()
    page.get_by_role("button", name="Switch off http.request").wait_for()


def test_the_audit_log_tells_and_is_whole(server: Server, signed_in: Callable[..., Page]) -> None:
    server.save("audited", nodes=ECHO)
    page = signed_in("audit?action=create_workflow")
    row(page, "create_workflow", "Audit log").first.wait_for()
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("none changed or removed").wait_for()


def test_health_says_that_it_is_ready(signed_in: Callable[..., Page]) -> None:
    page = signed_in("health")
    page.get_by_text("The server is ready.").wait_for()
    row(page, "store", "Checks").get_by_text("ok").wait_for()
    row(page, "data folder", "Findings").get_by_text("ok").wait_for()
    row(page, "store", "Findings").get_by_text("answers").wait_for()
