"""Triggers: schedules on a calendar, webhooks as they are called, what arrived, and trying a draft."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .conftest import Server, Watched, axe
from .test_shell import hard_coded

if TYPE_CHECKING:
    from playwright.sync_api import Page

ECHO = [{"id": "say", "type": "python.code", "params": {"code": "return inputs['x']", "inputs": {"x": "${{ input }}"}}}]
SECRET = "whsec_" + base64.b64encode(b"it's a $ecret `of` a sender").decode()
PROOFS: dict[str, dict[str, Any]] = {
    **{
        preset: {"type": "hmac", "preset": preset, "secrets": ["${{ secrets.SENDER }}"]}
        for preset in ("github", "stripe", "slack", "standard-webhooks")
    },
    "plain": {
        "type": "hmac", "preset": "plain", "secrets": ["${{ secrets.SENDER }}"],
        "algorithm": "sha512", "encoding": "base64", "prefix": "v=$x ", "header": "X-Si`g",
    },
    "basic": {"type": "basic", "username": "it's", "passwords": ["${{ secrets.SENDER }}"]},
    "key": {"type": "api_key", "keys": ["${{ secrets.SENDER }}"], "prefix": "Bearer "},
}  # fmt: skip


def hooked(path: str, **params: Any) -> list[dict[str, Any]]:
    return [{"id": "in", "type": "trigger.webhook", "params": {"path": path, **params}}]


def run(command: str) -> str:
    """What a person does with a command of the console: paste it into a shell."""
    env = {"PATH": os.environ["PATH"], "SECRET": SECRET, "PASSWORD": SECRET, "KEY": SECRET}
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_command_of_a_webhook_is_let_in_whatever_proves_the_sender(
    server: Server, signed_in: Callable[..., Page]
) -> None:
    assert server.client.put("/secrets/SENDER", json={"value": SECRET}).is_success
    page = signed_in("triggers")
    for name, auth in PROOFS.items():
        server.save(f"by-{name}", nodes=ECHO, triggers=hooked(f"by/{name}", auth=auth))
        page.goto(f"{server.console}triggers/by-{name}%3Ain")
        command = page.get_by_role("region", name="Shell command").inner_text()
        assert "execution_id" in run(command), (name, command)
        assert SECRET not in page.content()


def test_calls_are_watched_as_they_arrive(server: Server, signed_in: Callable[..., Page], watched: Watched) -> None:
    server.client.put("/secrets/SENDER", json={"value": SECRET})
    server.save("orders", nodes=ECHO, triggers=hooked("orders/{shop}", auth=PROOFS["github"]))
    address = f"{server.url}/hooks/orders/lisbon"
    assert server.client.post(address, json={"before": "I listened"}).status_code == 401
    page = signed_in("triggers")
    page.get_by_role("link", name="orders:in").click()
    page.get_by_role("button", name="Listen").click()
    page.get_by_text("the current one, as long as you listen").wait_for()
    calls = page.get_by_role("list", name="Calls, newest first")
    calls.get_by_text("X-Hub-Signature-256").wait_for()
    assert calls.get_by_text("refused: 401").count() == 1, "what was refused before is told first"

    # a draft is tried at the passing address, and nothing of it is live
    draft = {"aicflow": 1, "name": "orders", "nodes": ECHO, "triggers": hooked("orders/{shop}", auth=PROOFS["github"])}
    draft["nodes"] = [{**ECHO[0], "params": {"code": "return 'draft'"}}]
    assert server.client.post("/workflows/orders/drafts", json=draft).status_code == 201
    command = page.get_by_role("region", name="Shell command").nth(1).inner_text().replace('"world"', '"<b>world</b>"')
    assert "/hooks/~test/" in command
    started = run(command)
    first = calls.get_by_role("listitem").first
    first.get_by_text("test, version 2").wait_for()
    assert first.get_by_role("link").inner_text() in started
    first.get_by_text("Headers and body").click()
    first.get_by_text('"<b>world</b>"').wait_for()
    first.get_by_text("x-hub-signature-256").wait_for()
    assert axe(page) == []
    page.get_by_role("button", name="Stop listening").click()

    deliveries = page.get_by_role("table", name="Deliveries")
    deliveries.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog", name="Delivery")
    dialog.get_by_text("the signature is right").wait_for()
    dialog.get_by_role("region", name="Headers").get_by_text("application/json").wait_for()
    assert axe(page) == []
    dialog.get_by_role("button", name="Replay").click()
    dialog.get_by_role("status").get_by_text("Started").wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("Which deliveries").select_option("false")
    page.get_by_text("No delivery is like this").wait_for()
    assert "started=false" in page.url
    page.get_by_label("Which deliveries").select_option("")

    page.get_by_role("button", name="Fire now…").click()
    dialog = page.get_by_role("dialog", name="Fire now")
    dialog.get_by_label("Payload").fill("{")
    dialog.get_by_text("This is not JSON.").wait_for()
    dialog.get_by_label("Payload").fill('{"by": "hand"}')
    dialog.get_by_role("button", name="Fire", exact=True).click()
    dialog.get_by_role("status").get_by_text("Started").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert server.client.get("/triggers/orders:in").json()["status"] == "paused"


def test_a_schedule_stands_on_a_calendar(server: Server, signed_in: Callable[..., Page]) -> None:
    cron = {"schedule": "30 2 25-31 3,10 *", "timezone": "Europe/Berlin"}  # both Sundays on which clocks change
    server.save("nightly", nodes=ECHO, triggers=[{"id": "half", "type": "trigger.cron", "params": cron}])
    page = signed_in("triggers/nightly%3Ahalf", timezone_id="America/New_York")
    fires = page.get_by_role("list", name="Next fires")
    fires.get_by_role("listitem").first.wait_for()
    strip = page.locator(".calendar-day")
    assert strip.count() == 15, "the hours, and a fortnight of days on which it fires"
    assert strip.locator(".skipped").count() == strip.locator(".doubled").count() == 1
    page.get_by_role("button", name="Show all").click()
    fires.get_by_text("moved").first.wait_for()
    fires.get_by_text("which does not exist").first.wait_for()
    page.get_by_label("Time zone").select_option("own")
    strip.locator(".doubled").wait_for(state="detached")
    assert "zone=own" in page.url
    page.goto(f"{server.console}triggers/nightly%3Ahalf?locale=en-XA")
    page.get_by_role("list", name="⟦").first.wait_for()
    assert hard_coded(page) == []
