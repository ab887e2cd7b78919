"""One workflow: its canvas by pointer and by keyboard, its nodes, and running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Server, axe
from .test_shell import hard_coded

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

CODE = {"type": "python.code"}
HOSTILE = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
BRANCHES: dict[str, Any] = {
    "description": HOSTILE,
    "triggers": [{"id": "hook", "type": "trigger.webhook", "params": {"path": "branches"}, "input": {"count": 1}}],
    "input_schema": {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]},
    "nodes": [
        {"id": "first", **CODE, "params": {"inputs": {"n": "${{ input.count }}"}, "code": "return inputs['n']"}},
        {"id": "many", "type": "logic.if_else", "params": {"condition": "${{ nodes.first.output > 2 }}"}},
        {"id": "yes", **CODE, "name": HOSTILE, "params": {"code": "return 'yes'"}},
        {"id": "no", **CODE, "params": {"code": "return 'no'"}},
        {"id": "rescue", **CODE, "params": {"code": "return 'rescued'"}},
    ],
    "edges": [
        {"from": "first", "to": "many"},
        {"from": "first", "port": "error", "to": "rescue"},
        {"from": "many", "port": "true", "to": "yes"},
        {"from": "many", "port": "false", "to": "no"},
    ],
}  # fmt: skip


def node(page: Page, id: str) -> Locator:
    return page.locator(f'.react-flow__node[data-id="{id}"]')


@pytest.fixture(scope="module")
def branches(server: Server) -> str:
    server.save("branches", **BRANCHES)
    return "branches"


def test_the_canvas_shows_ports_errors_and_triggers(signed_in: Callable[..., Page], branches: str) -> None:
    page = signed_in(f"workflows/{branches}")
    node(page, "rescue").wait_for()
    assert page.locator(".react-flow__node").count() == 6
    labels = page.locator(".react-flow__edge-text").all_text_contents()
    assert sorted(labels) == ["error", "false", "true"]
    assert page.locator(".react-flow__edge.error").count() == 1
    node(page, "yes").get_by_text(HOSTILE).wait_for()  # as text
    assert page.evaluate("document.querySelectorAll('img[src=x], #app script').length") == 0
    node(page, "first").click()
    panel = page.get_by_role("region", name="Selected node")
    panel.get_by_role("heading", name="first").wait_for()
    panel.get_by_text("1 field").click()
    panel.get_by_text("${{ input.count }}").wait_for()
    assert "node=first" in page.url, "a link leads to the node"
    page.reload()
    page.get_by_role("region", name="Selected node").get_by_role("heading", name="first").wait_for()


def focused(page: Page) -> Any:
    return page.evaluate("document.activeElement.dataset.id ?? document.activeElement.tagName")


def test_the_keyboard_walks_from_node_to_node_and_runs_the_workflow(
    server: Server, signed_in: Callable[..., Page], branches: str
) -> None:
    page = signed_in(f"workflows/{branches}?node=first")
    node(page, "first").wait_for()
    page.keyboard.press("c")
    assert focused(page) == "first"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "first"
    page.keyboard.press("ArrowRight")
    if focused(page) == "rescue":
        page.keyboard.press("ArrowUp" if node(page, "many").bounding_box()["y"] < 400 else "ArrowDown")  # type: ignore[index]
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Selected node").get_by_role("heading", name="many").wait_for()
    page.keyboard.press("r")
    page.get_by_role("dialog", name="Run the workflow").wait_for()
    page.get_by_label("count").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_url("**/executions/ex_*")
    page.get_by_role("status").get_by_text("succeeded").wait_for()
    (execution,) = server.client.get("/executions?workflow_id=branches").json()["data"]
    assert execution["status"] == "succeeded"


def test_a_node_is_found_by_its_name_or_type(signed_in: Callable[..., Page], branches: str) -> None:
    page = signed_in(f"workflows/{branches}")
    node(page, "first").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("if_else")
    page.get_by_text("1 of 6 nodes").wait_for()
    assert page.locator(".react-flow__node.found").get_attribute("data-id") == "many"


@pytest.mark.slow
def test_five_hundred_nodes_are_drawn(server: Server, signed_in: Callable[..., Page]) -> None:
    nodes = [{"id": f"n{at}", **CODE, "params": {"code": "return 1"}} for at in range(500)]
    edges = [{"from": f"n{at // 3}", "to": f"n{at + 1}"} for at in range(499)]
    server.save("large", nodes=nodes, edges=edges)
    page = signed_in("workflows/large")
    node(page, "n499").wait_for(state="attached")
    assert page.locator(".react-flow__node").count() == 500
    page.locator(".react-flow__minimap").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_the_canvas_is_accessible(signed_in: Callable[..., Page], branches: str, scheme: str, width: int) -> None:
    page = signed_in(f"workflows/{branches}?node=many", color_scheme=scheme, viewport={"width": width, "height": 800})
    node(page, "many").wait_for()
    assert axe(page) == []
    # axe does not look at SVG: a port's name has to be told apart from its box
    of = "all => all.map(one => getComputedStyle(one).fill)"
    names, boxes = (page.locator(f".react-flow__edge-{part}").evaluate_all(of) for part in ("text", "textbg"))
    assert len(names) == len(boxes) == 3
    assert not set(names) & set(boxes)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Run…").click()
    page.get_by_role("dialog").wait_for()
    assert axe(page) == []


@pytest.mark.parametrize("locale", ["en-XA", "en-XB"])
def test_the_canvas_says_nothing_that_is_not_in_the_catalogue(
    signed_in: Callable[..., Page], branches: str, locale: str
) -> None:
    page = signed_in(f"workflows/{branches}?locale={locale}&node=many")
    node(page, "many").wait_for()
    assert hard_coded(page) == []
