"""Signing in, the navigation, and what is there on every page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .conftest import Server, Watched, axe

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


def heading(page: Page, name: str) -> None:
    page.get_by_role("heading", level=1, name=name).wait_for()


def test_the_printed_link_signs_one_browser_in_once(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched
) -> None:
    page = open_context().new_page()
    page.goto(server.link)
    heading(page, "Welcome to AIC Flow")
    assert "ticket" not in page.url, "no history keeps it"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)
    assert page.evaluate("document.cookie") == ""
    watched.expected.append("401")
    other = open_context().new_page()
    other.goto(server.link)
    heading(other, "Sign in to AIC Flow")
    other.get_by_role("alert").get_by_text("does not count").wait_for()


def test_a_key_signs_in_and_leaves_no_trace(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched
) -> None:
    watched.expected.append("401")
    page = open_context().new_page()
    page.goto(server.console + "executions?status=failed")
    page.get_by_label("API key").fill("aicf_wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("does not count").wait_for()
    page.get_by_label("API key").fill(server.key)
    page.keyboard.press("Enter")
    heading(page, "Executions")
    assert page.url.endswith("/executions?status=failed"), "where one wanted to go"
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert server.key not in kept
    page.get_by_role("button", name="Sign out").click()
    heading(page, "Sign in to AIC Flow")


def test_a_session_that_ends_asks_again_and_goes_on_where_it_was(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched
) -> None:
    watched.expected += ["401", "HTTP Authentication failed"]
    made = server.client.post("/api-keys", json={"name": "ann", "scopes": ["read"]}).json()
    page = open_context().new_page()
    page.goto(server.console + "workflows")
    page.get_by_label("API key").fill(made["key"])
    page.keyboard.press("Enter")
    heading(page, "Workflows")
    server.client.delete(f"/api-keys/{made['id']}")
    page.get_by_role("link", name="Executions").click()
    page.get_by_text("Your session has ended").wait_for()
    page.get_by_label("API key").fill(server.key)
    page.keyboard.press("Enter")
    heading(page, "Executions")


def test_the_keyboard_goes_everywhere(page: Page) -> None:
    heading(page, "Workflows")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("g")
    page.keyboard.press("e")
    heading(page, "Executions")
    page.keyboard.press("Control+k")
    page.get_by_role("dialog", name="Go to or do").wait_for()
    page.keyboard.type("workflows")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    heading(page, "Workflows")


def test_the_theme_stays(page: Page) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page.get_by_label("Theme").select_option("dark")
    dark = page.evaluate(ground)
    page.reload()
    heading(page, "Workflows")
    assert page.evaluate(ground) == dark
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(ground) != dark


def test_the_language_is_chosen_and_stays(server: Server, signed_in: Callable[..., Page]) -> None:
    server.save("spoken", nodes=[{"id": "say", "type": "python.code", "params": {"code": "return 1"}}])
    made = server.run("spoken", wait=20)
    page = signed_in(f"executions/{made['id']}")
    page.get_by_label("Language").select_option("de")
    page.get_by_role("navigation", name="Seiten").get_by_role("link", name="Ausführungen").click()
    heading(page, "Ausführungen")
    page.get_by_role("row").filter(has_text="spoken").locator("time").get_by_text("vor").first.wait_for()
    page.reload()
    heading(page, "Ausführungen")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_label("Sprache").select_option("nl")
    heading(page, "Uitvoeringen")
    dutch = signed_in("executions", locale="nl-NL")
    heading(dutch, "Uitvoeringen")  # as the browser asks for, where nothing was chosen


def test_an_unknown_address_says_so(signed_in: Callable[..., Page]) -> None:
    page = signed_in("nowhere/at/all")
    heading(page, "Not found")


def test_a_server_that_does_not_answer_is_told(page: Page, watched: Watched) -> None:
    heading(page, "Workflows")
    watched.expected.append("ERR_INTERNET_DISCONNECTED")
    loaded = "performance.getEntriesByType('resource').some(one => one.name.includes('/executions-'))"
    while not page.evaluate(loaded):  # all pages are there soon, opened or not
        page.wait_for_timeout(50)
    page.context.set_offline(True)
    page.get_by_role("link", name="Executions").click()
    page.get_by_text("The server cannot be reached").wait_for()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").last.click()
    page.get_by_text("The server cannot be reached").wait_for(state="detached")


def test_the_list_of_workflows(server: Server, signed_in: Callable[..., Page]) -> None:
    echo = [{"id": "say", "type": "python.code", "params": {"code": "return 1"}}]
    server.save("billing", nodes=echo, labels={"team": "billing"}, description="Counts <b>money</b>")
    server.save("shipping", nodes=echo, triggers=[
        {"id": "nightly", "type": "trigger.cron", "params": {"schedule": "0 3 * * *"}}
    ])  # fmt: skip
    server.run("billing", wait=20)
    page = signed_in("workflows")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="billing"))
    row.get_by_text("succeeded", exact=True).wait_for()
    row.get_by_text("100%").wait_for()
    row.get_by_text("Counts <b>money</b>").wait_for()
    page.get_by_role("row").filter(has_text="shipping").locator("time").wait_for()
    page.get_by_label("Name").fill("bill")
    page.get_by_role("link", name="shipping").wait_for(state="detached")
    assert "name=bill" in page.url
    row.get_by_role("button", name="Disable billing").click()
    row.get_by_role("button", name="Enable billing").wait_for()
    assert server.client.get("/workflows/billing").json()["enabled"] is False
    row.get_by_role("button", name="Enable billing").click()
    row.get_by_role("button", name="Disable billing").wait_for()


PAGES = [
    "welcome", "overview", "workflows", "executions", "triggers", "node-types", "secrets", "keys", "audit", "health",
    "nowhere", "workflows/paged/versions", "triggers/paged%3Ain", "triggers/paged%3Anightly",
]  # fmt: skip


@pytest.fixture(scope="module")
def furnished(server: Server) -> None:
    """A workflow with two versions, a webhook and a schedule."""
    triggers = [
        {"id": "in", "type": "trigger.webhook", "params": {"path": "paged"}},
        {"id": "nightly", "type": "trigger.cron", "params": {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}},
    ]
    nodes = [{"id": "say", "type": "python.code", "params": {"code": "return 1"}}]
    server.save("paged", nodes=nodes)
    tag = server.client.get("/workflows/paged").headers["etag"]
    document = {"aicflow": 1, "name": "paged", "nodes": nodes, "triggers": triggers}
    assert server.client.put("/workflows/paged", json=document, headers={"if-match": tag}).is_success
    assert server.client.post(f"{server.url}/hooks/paged", json={"text": "<b>hello</b>"}).is_success


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_inaccessible(signed_in: Callable[..., Page], scheme: str) -> None:
    # in the dark nothing moves, and words are long
    motion, locale = ("reduce", "de-DE") if scheme == "dark" else ("no-preference", "en-GB")
    page = signed_in("workflows", color_scheme=scheme, reduced_motion=motion, locale=locale)
    for path in PAGES:
        page.goto(re.sub(r"/console/.*", f"/console/{path}", page.url))
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_load_state("networkidle")
        for width in (1280, 768, 375):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, "scrolls sideways")
            assert page.evaluate("(one => one.scrollWidth <= one.clientWidth)(document.querySelector('.side'))"), width
            if width != 768:
                assert axe(page) == [], (path, width)
        if motion == "reduce":
            assert page.evaluate("document.getAnimations().length") == 0, (path, "moves")
        page.set_viewport_size({"width": 1280, "height": 800})
    for keys in ("?", "Control+k"):
        page.keyboard.press(keys)
        page.get_by_role("dialog").wait_for()
        assert axe(page) == [], keys
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize("locale", ["en-XA", "en-XB"])
def test_every_text_comes_from_the_catalogue(signed_in: Callable[..., Page], locale: str) -> None:
    page = signed_in(f"workflows?locale={locale}")
    for path in PAGES:
        page.goto(re.sub(r"/console/.*", f"/console/{path}", page.url))
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_load_state("networkidle")
        assert hard_coded(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def hard_coded(page: Page) -> list[str]:
    """Visible ASCII words outside of brackets, but for what is data, code or a name."""
    texts: list[str] = page.evaluate(
        """() => {
          const found = [];
          const data = 'code, kbd, pre, .json, .mono, .chip, time, [lang=en], .brand, td:first-child, .who b, ' +
            '.type, .num, .took, .react-flow__edge-text, .react-flow__attribution, [data-text]';
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const parent = walk.currentNode.parentElement;
            if (parent.closest(data) || parent.closest('noscript, script, style')) continue;
            found.push(walk.currentNode.data);
          }
          for (const one of document.querySelectorAll('[aria-label], [title]:not(time)'))
            if (!one.closest('.failure, .react-flow__attribution'))
            found.push(one.ariaLabel ?? one.title);
          return found;
        }"""
    )
    return [text for text in texts if re.search("[A-Za-z]{2}", text) and "⟦" not in text]
