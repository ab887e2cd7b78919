"""The first minute: connect, create the demo flow, run it and see it live, change one value, run it again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Server, Watched, axe
from .test_shell import hard_coded, heading

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

WELCOME = "Welcome to AIC Flow"


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    """No workflows, as on the first day."""
    for one in server.client.get("/workflows").json()["data"]:
        server.client.delete(f"/workflows/{one['id']}", headers={"if-match": "*"}).raise_for_status()


def step(page: Page, run: str, node: str) -> Locator:
    return page.get_by_role("region", name=run).get_by_role("row").filter(has=page.get_by_text(node, exact=True))


def create(page: Page) -> None:
    page.get_by_role("button", name="Create Demo Flow").click()
    page.get_by_role("button", name="Send the order").wait_for()


def run_twice(page: Page) -> None:
    page.get_by_role("button", name="Send the order").click()
    page.get_by_role("button", name="Run it again").click()
    page.get_by_role("region", name="What changed").wait_for()


def executions(server: Server) -> list[dict[str, Any]]:
    found = server.client.get("/workflows").json()["data"]
    listed = server.client.get("/executions", params={"workflow_id": found[0]["id"]}).json()["data"]
    return [server.client.get(f"/executions/{one['id']}").json() for one in reversed(listed)]


def test_from_an_empty_server_to_a_flow_that_one_has_run_and_changed(
    server: Server, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    page.goto(server.link)
    heading(page, WELCOME)
    page.get_by_text("Connected", exact=True).wait_for()
    create(page)
    assert page.evaluate("document.activeElement.textContent") == "3. Run it and see it live"
    page.get_by_role("button", name="Send the order").click()
    step(page, "First run", "ship").get_by_text("It ships today: it costs 36").wait_for()
    step(page, "First run", "review").get_by_text("skipped", exact=True).wait_for()
    assert page.evaluate("document.activeElement.id") == "quantity", "the one value to change"
    page.get_by_label("Quantity").fill("12")
    page.get_by_role("button", name="Run it again").click()
    changes = page.get_by_role("table", name="What changed")
    row = changes.get_by_role("row").filter(has_text="large")
    row.get_by_text("→ false").wait_for()
    row.get_by_text("→ true").wait_for()
    changes.get_by_role("row").filter(has_text="Input").get_by_text('{"quantity":12}').wait_for()
    assert page.get_by_text("changed", exact=True).count() == 7, "everything, here"
    first, second = executions(server)
    assert (first["output"]["total"], second["output"]["total"]) == (36, 144)
    assert first["trigger"]["type_id"] == "trigger.webhook"
    assert "cookie" not in first["trigger"]["payload"]["headers"], "the session is no part of the order"
    assert page.get_by_role("link", name="Open the first execution").get_attribute("href") == (
        f"/console/executions/{first['id']}"
    )
    page.get_by_role("link", name="Open the workflow").click()
    page.wait_for_url(f"**/console/workflows/{first['workflow_id']}")


def test_the_steps_are_shown_as_they_happen(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("welcome")
    create(page)
    (flow,) = server.client.get("/workflows").json()["data"]
    path = f"/workflows/{flow['id']}"
    document = server.client.get(path).json()["document"]
    ship = next(node for node in document["nodes"] if node["id"] == "ship")
    ship["params"]["code"] = ship["params"]["code"].replace("0.5", "3")
    server.client.put(path, json=document, headers={"if-match": "*"}).raise_for_status()
    page.get_by_role("button", name="Send the order").click()
    step(page, "First run", "ship").get_by_text("running", exact=True).wait_for()
    assert step(page, "First run", "total").get_by_text("succeeded", exact=True).is_visible()
    assert step(page, "First run", "receipt").get_by_text("not yet").is_visible()
    step(page, "First run", "receipt").get_by_text("succeeded", exact=True).wait_for()


def test_it_can_be_skipped_left_resumed_and_repeated(server: Server, signed_in: Callable[..., Page]) -> None:
    page = signed_in("")
    heading(page, WELCOME)
    page.get_by_role("button", name="Skip the first steps").click()
    heading(page, "Workflows")
    page.goto(server.console)
    heading(page, "Workflows")
    page.get_by_role("link", name="Try a demo flow").click()
    create(page)
    page.get_by_role("button", name="Send the order").click()
    step(page, "First run", "receipt").get_by_text("succeeded", exact=True).wait_for()
    page.reload()
    page.get_by_role("button", name="Run it again").wait_for()
    step(page, "First run", "receipt").get_by_text("succeeded", exact=True).wait_for()
    page.get_by_role("link", name="Workflows", exact=True).click()
    heading(page, "Workflows")
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.get_by_role("button", name="Go on with the one of before").click()
    page.get_by_role("button", name="Run it again").click()
    page.get_by_role("region", name="What changed").wait_for()
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("button", name="Create another Demo Flow").click()
    run_twice(page)
    paths = {one["id"] for one in server.client.get("/workflows").json()["data"]}
    assert len(paths) == 2, "each with a URL of its own"


def test_a_server_with_workflows_opens_them(server: Server, signed_in: Callable[..., Page]) -> None:
    server.save("billing", nodes=[{"id": "say", "type": "python.code", "params": {"code": "return 1"}}])
    heading(signed_in(""), "Workflows")


def test_the_keyboard_is_enough(signed_in: Callable[..., Page]) -> None:
    page = signed_in("")
    heading(page, WELCOME)

    def tab_to(text: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == text:
                return
        raise AssertionError(f"{text} is not reached")

    tab_to("Create Demo Flow")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Send the order").wait_for()
    tab_to("Send the order")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Run it again").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("40")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Open the workflow").wait_for()
    tab_to("Open the workflow")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/workflows/wf_*")


def test_who_may_only_read_is_told_what_is_missing(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched
) -> None:
    watched.expected.append("401")
    made = server.client.post("/api-keys", json={"name": "ann", "scopes": ["read"]}).json()
    page = open_context().new_page()
    page.goto(server.console)
    page.get_by_label("API key").fill(made["key"])
    page.keyboard.press("Enter")
    page.get_by_text("Your key may not create workflows").wait_for()
    assert page.get_by_role("button", name="Create Demo Flow").count() == 0


def test_a_flow_that_is_gone_or_switched_off_is_told(
    server: Server, signed_in: Callable[..., Page], watched: Watched
) -> None:
    watched.expected.append("404")
    page = signed_in("welcome")
    create(page)
    (flow,) = server.client.get("/workflows").json()["data"]
    server.client.patch(f"/workflows/{flow['id']}", json={"enabled": False}, headers={"if-match": "*"})
    page.get_by_role("button", name="Send the order").click()
    page.get_by_role("alert").wait_for()
    server.client.delete(f"/workflows/{flow['id']}", headers={"if-match": "*"})
    page.reload()
    page.get_by_text("The demo flow of this address was deleted").wait_for()
    create(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_is_inaccessible(signed_in: Callable[..., Page], scheme: str, width: int) -> None:
    page = signed_in("welcome", color_scheme=scheme, viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Create Demo Flow").wait_for()
    assert axe(page) == [], "before"
    create(page)
    assert axe(page) == [], "created"
    run_twice(page)
    assert axe(page) == [], "compared"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no page scrolls sideways"


@pytest.mark.parametrize("locale", ["en-XA", "en-XB"])
def test_every_text_comes_from_the_catalogue(server: Server, signed_in: Callable[..., Page], locale: str) -> None:
    page = signed_in(f"welcome?locale={locale}")
    page.locator("main .button.primary").wait_for()
    assert hard_coded(page) == []
    page.locator("main .button.primary").click()
    page.locator("main form .button.primary").click()
    page.locator("#quantity").wait_for()
    page.locator("main form .button.primary").click()
    page.locator("main a.button.primary").wait_for()
    assert hard_coded(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert re.search("⟦", page.title())
