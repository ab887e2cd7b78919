"""The pictures of the documentation: `make pictures` walks the tutorial and writes them. They change with each look
of a page, so nothing compares them; look at them before you commit them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import Server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

FOLDER = Path(__file__).parents[3] / "docs" / "images" / "console"
pytestmark = pytest.mark.skipif("AICFLOW_PICTURES" not in os.environ, reason="make pictures writes them")


# the browser itself packs a picture to a third
PACK = """async (png) => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
  const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.85).split(",")[1];
}"""


def take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    png = page.screenshot(animations="disabled", caret="hide")
    blank = page.context.new_page()  # without the console's policy
    packed = blank.evaluate(PACK, base64.b64encode(png).decode())
    blank.close()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.webp").write_bytes(base64.b64decode(packed))


def test_the_tutorial_in_pictures(server: Server, open_context: Callable[..., BrowserContext]) -> None:
    page = open_context(viewport={"width": 1120, "height": 720}, color_scheme="light").new_page()
    page.goto(server.link)
    page.get_by_text("Connected", exact=True).wait_for()
    page.get_by_role("button", name="Create Demo Flow").click()
    page.get_by_role("button", name="Send the order").click()
    page.get_by_label("Quantity").fill("12")
    page.get_by_role("button", name="Run it again").click()
    page.get_by_role("region", name="What changed").wait_for()
    page.get_by_role("table", name="What changed").scroll_into_view_if_needed()
    take(page, "first-steps")

    (made,) = server.client.get("/workflows").json()["data"]
    page.goto(f"{server.console}workflows/{made['id']}")
    page.locator(".react-flow__node").first.wait_for()
    take(page, "canvas")

    (newest, _) = server.client.get("/executions", params={"workflow_id": made["id"]}).json()["data"]
    page.goto(f"{server.console}executions/{newest['id']}")
    page.locator(".react-flow__node").filter(has_text="review").click()
    take(page, "execution")

    shown = server.client.get(f"/workflows/{made['id']}")
    document = shown.json()["document"]
    document["vars"]["limit"] = 200
    document["nodes"][-1]["params"]["code"] = (
        'return {"total": inputs["total"], "next": inputs["next"], "thanks": True}'
    )
    tag = {"if-match": shown.headers["etag"]}
    assert server.client.put(f"/workflows/{made['id']}", json=document, headers=tag).is_success
    page.goto(f"{server.console}workflows/{made['id']}/versions")
    page.get_by_role("table", name="Version 1 beside version 2").wait_for()
    page.get_by_role("region", name="Two versions").scroll_into_view_if_needed()
    take(page, "versions")

    page.goto(f"{server.console}triggers/{made['id']}%3Aorder")
    page.get_by_role("button", name="Listen").click()
    page.get_by_text("the current one, as long as you listen").wait_for()
    address = f"{server.url}/hooks/{document['triggers'][0]['params']['path']}"
    server.client.post(address, content="{", headers={"content-type": "application/json"})
    server.client.post(address, json={"quantity": 3})
    page.get_by_role("list", name="Calls, newest first").get_by_role("listitem").nth(1).wait_for()
    page.get_by_role("region", name="Live arrivals").scroll_into_view_if_needed()
    take(page, "calls")

    cron = {"id": "half", "type": "trigger.cron"}
    cron_params = {"schedule": "30 2 25-31 3,10 *", "timezone": "Europe/Berlin"}
    nodes = [{"id": "clean", "type": "python.code", "params": {"code": "return 'clean'"}}]
    server.save("clean-up", nodes=nodes, triggers=[{**cron, "params": cron_params}])
    page.goto(f"{server.console}triggers/clean-up%3Ahalf")
    page.get_by_role("list", name="Next fires").wait_for()
    take(page, "schedule")

    for quantity in (1, 5, 20, 8, 3):
        server.run(made["id"], {"quantity": quantity}, wait=20)
    page.goto(f"{server.console}overview")
    page.get_by_role("region", name="Executions that ended").wait_for()
    take(page, "overview")
