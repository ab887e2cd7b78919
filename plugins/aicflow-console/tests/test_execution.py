"""One execution: the canvas while it runs, its timeline, its nodes from the inside, answers and cancelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Server, Watched, axe
from .test_canvas import CODE, HOSTILE, node
from .test_shell import hard_coded

if TYPE_CHECKING:
    from playwright.sync_api import Page

ASK: dict[str, Any] = {
    "nodes": [
        {"id": "first", **CODE, "params": {"code": f"print('hello {HOSTILE}')\nreturn [{{'a': 1}}] * 300"}},
        {"id": "ask", "type": "wait", "params": {
            "message": "Pay?", "answer_schema": {
                "type": "object", "required": ["amount"], "properties": {
                    "amount": {"type": "integer", "description": "In cents"}, "urgent": {"type": "boolean"},
                },
            },
        }},
        {"id": "last", **CODE, "params": {"inputs": {"a": "${{ nodes.ask.output }}"}, "code": "return inputs['a']"}},
    ],
    "edges": [{"from": "first", "to": "ask"}, {"from": "ask", "to": "last"}],
}  # fmt: skip
FAILS: dict[str, Any] = {
    "nodes": [{"id": "bad", **CODE, "params": {"code": "x = 1\nreturn x / 0"}}],
}


@pytest.fixture(scope="module", autouse=True)
def saved(server: Server) -> None:
    server.save("ask", **ASK)
    server.save("fails", **FAILS)


def status(page: Page, id: str, wanted: str) -> None:
    page.locator(f'.react-flow__node[data-id="{id}"] [data-status="{wanted}"]').wait_for()


def test_a_waiting_step_is_seen_live_and_answered(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("executions?workflow_id=ask")
    page.get_by_text("Live", exact=True).wait_for()
    made = server.run("ask")
    page.get_by_role("link", name=made["id"]).click()  # it came by itself
    status(page, "first", "succeeded")
    status(page, "ask", "waiting")
    page.get_by_test_id("why").wait_for()
    node(page, "ask").click()
    panel = page.get_by_role("region", name="Selected node")
    panel.get_by_label("amount").fill("250")
    panel.get_by_label("urgent").select_option("true")
    panel.get_by_role("button", name="Answer").click()
    status(page, "last", "succeeded")
    page.get_by_role("status").get_by_text("succeeded").first.wait_for()
    ended = server.client.get(f"/executions/{made['id']}").json()
    assert ended["status"] == "succeeded"
    assert "250" in str(ended["output"])


def test_a_node_from_the_inside(server: Server, signed_in: Callable[..., Page]) -> None:
    made = server.run("ask")
    page = signed_in(f"executions/{made['id']}?node=first")
    panel = page.get_by_role("region", name="Selected node")
    tree = panel.get_by_role("region", name="Output")
    tree.get_by_text("300 items").wait_for()
    tree.get_by_role("button", name="Show more (200)").wait_for()
    panel.get_by_role("tab", name="Logs (1)").click()
    panel.get_by_role("log").get_by_text(HOSTILE).wait_for()  # as text
    assert page.evaluate("document.querySelectorAll('img[src=x], #app script').length") == 0
    panel.get_by_role("tab", name="Params").click()
    panel.get_by_role("tab", name="Attempts (1)").click()
    panel.get_by_role("tabpanel").get_by_text("succeeded").wait_for()
    page.get_by_role("tab", name="Timeline").click()
    page.get_by_role("list", name="Timeline").get_by_role("button").filter(has_text="ask").click()
    panel.get_by_role("heading", name="ask").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("status").get_by_text("cancelled").first.wait_for()


def test_a_failure_says_where(server: Server, signed_in: Callable[..., Page]) -> None:
    made = server.run("fails", wait=20)
    assert made["status"] == "failed"
    page = signed_in("executions?status=failed")
    page.get_by_role("link", name=made["id"]).click()
    status(page, "bad", "failed")
    page.get_by_text("division by zero").first.wait_for()
    page.get_by_role("button", name="Rerun", exact=True).click()
    page.wait_for_url(lambda url: made["id"] not in url and "/executions/ex_" in url)
    status(page, "bad", "failed")


def test_the_stream_comes_back_after_a_cut(server: Server, signed_in: Callable[..., Page], watched: Watched) -> None:
    watched.expected += ["ERR_INTERNET_DISCONNECTED", "WebSocket"]
    made = server.run("ask")
    page = signed_in(f"executions/{made['id']}")
    status(page, "ask", "waiting")
    page.context.set_offline(True)
    body = {"node_id": "ask", "value": {"amount": 1}}
    assert server.client.post(f"/executions/{made['id']}/resume", json=body).is_success
    page.context.set_offline(False)
    status(page, "last", "succeeded")


def test_large_outputs_are_not_sent_unasked(server: Server, signed_in: Callable[..., Page]) -> None:
    server.save("big", nodes=[{"id": "big", **CODE, "params": {"code": "return ['x' * 1000] * 3000"}}])
    made = server.run("big", wait=20)
    page = signed_in(f"executions/{made['id']}?node=big")
    page.get_by_text("The output has 3.0 MB").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.path().stat().st_size > 3_000_000


@pytest.mark.slow
def test_two_hundred_nodes_are_seen_running(server: Server, signed_in: Callable[..., Page]) -> None:
    nodes = [{"id": f"n{at}", "type": "wait", "params": {"seconds": 0.05}} for at in range(200)]
    edges = [{"from": f"n{at // 20}", "to": f"n{at + 1}"} for at in range(199)]
    server.save("wide", nodes=nodes, edges=edges)
    page = signed_in("workflows/wide")
    made = server.run("wide")
    page.goto(server.console + f"executions/{made['id']}")
    page.get_by_role("status").get_by_text("succeeded").first.wait_for()
    page.locator('.react-flow__node [data-status="succeeded"]').nth(199).wait_for(state="attached")
    assert page.locator('.react-flow__node [data-status="succeeded"]').count() == 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_executions_are_accessible(server: Server, signed_in: Callable[..., Page], scheme: str, width: int) -> None:
    made = server.run("ask")
    failed = server.run("fails", wait=20)
    page = signed_in(f"executions/{made['id']}?node=ask", color_scheme=scheme, viewport={"width": width, "height": 800})
    page.get_by_label("amount").wait_for()
    for tab in ("Canvas", "Timeline", "Input and output"):
        page.get_by_role("tab", name=tab).click()
        assert axe(page) == [], tab
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
    for part in ("Output", "Logs (1)", "Attempts (1)"):
        page.goto(server.console + f"executions/{failed['id']}?node=bad")
        page.get_by_role("tab", name=part.partition(" ")[0]).last.click()
        assert axe(page) == [], part


@pytest.mark.parametrize("locale", ["en-XA", "en-XB"])
def test_executions_say_nothing_that_is_not_in_the_catalogue(
    server: Server, signed_in: Callable[..., Page], locale: str
) -> None:
    made = server.run("ask")
    page = signed_in(f"executions/{made['id']}?locale={locale}&node=ask")
    status(page, "ask", "waiting")
    page.get_by_label("amount").wait_for()
    assert hard_coded(page) == []
    page.goto(server.console + f"executions/{made['id']}?node=first&tab=timeline")
    page.get_by_role("listitem").first.wait_for()
    assert hard_coded(page) == []
