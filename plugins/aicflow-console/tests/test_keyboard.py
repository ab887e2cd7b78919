"""The main path without a mouse: sign in, create a flow, run it, look into the execution, stop one, sign out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .conftest import Server, Watched

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

FOCUS = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  return {
    text: one.getAttribute("aria-label") ?? one.textContent.trim(),
    seen: one.matches(":focus-visible, [data-focus-visible]") && style.outlineStyle !== "none",
  };
}"""


def tab_to(page: Page, text: str, *, back: bool = False) -> None:
    """Go on with Tab until what has this text has the focus; whatever has it meanwhile shows it."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        focus = page.evaluate(FOCUS)
        if focus["text"].startswith(text):
            assert focus["seen"], f"{text} does not show that it has the focus"
            return
    raise AssertionError(f"Tab does not come to {text!r}")


def test_the_main_path_needs_no_mouse(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched
) -> None:
    watched.expected.append("401")  # before and after the session
    page = open_context().new_page()
    page.goto(server.console)
    page.get_by_label("API key").wait_for()
    tab_to(page, "API key") if page.evaluate("document.activeElement.tagName") != "INPUT" else None
    page.keyboard.type(server.key)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Create Demo Flow").wait_for()
    tab_to(page, "Create Demo Flow")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Send the order").wait_for()
    tab_to(page, "Send the order")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Run it again").wait_for()
    page.wait_for_function("document.activeElement.id === 'quantity'")
    page.keyboard.press("Control+a")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="What changed").wait_for()
    tab_to(page, "Open the second execution")
    page.keyboard.press("Enter")
    page.wait_for_url("**/executions/ex_*")
    page.get_by_text("succeeded").first.wait_for()
    tab_to(page, "Canvas")
    page.keyboard.press("ArrowRight")
    page.get_by_role("tabpanel", name="Timeline").wait_for()

    nodes = [{"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "string"}}}]
    server.save("asks", nodes=nodes)
    waiting = server.run("asks")["id"]
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.get_by_role("heading", level=1, name="Executions").wait_for()
    page.get_by_role("link", name=waiting).wait_for()
    tab_to(page, waiting)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/executions/{waiting}")
    page.get_by_role("button", name="Cancel", exact=True).wait_for()
    tab_to(page, "Cancel")
    page.keyboard.press("Enter")
    page.get_by_text("cancelled").first.wait_for()
    tab_to(page, "Sign out", back=True)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Sign in to AIC Flow").wait_for()
