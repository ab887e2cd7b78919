"""The versions of a workflow: read, compared, restored; and what happens when somebody else saves meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .conftest import Server, Watched, axe
from .test_shell import hard_coded

if TYPE_CHECKING:
    from playwright.sync_api import Page


def document(*codes: str) -> dict[str, Any]:
    nodes = [{"id": f"step{at}", "type": "python.code", "params": {"code": code}} for at, code in enumerate(codes)]
    return {"aicflow": 1, "name": "<i>counted</i>", "nodes": nodes}


def test_versions_are_compared_and_restored(server: Server, signed_in: Callable[..., Page], watched: Watched) -> None:
    watched.expected.append("412")
    client = server.client
    answer = client.post("/workflows?id=counted", json=document("return 1", "return 2"))

    def save(*codes: str) -> None:
        tag = client.get("/workflows/counted").headers["etag"]
        assert client.put("/workflows/counted", json=document(*codes), headers={"if-match": tag}).is_success

    assert answer.status_code == 201, answer.text
    save("return 10", "return '<img src=x onerror=alert(1)>'", "return 3")
    assert client.post("/workflows/counted/drafts", json=document("return 1", "return 2", "return 4")).is_success

    page = signed_in("workflows/counted")
    page.get_by_role("link", name="Versions").click()
    page.get_by_role("heading", level=1, name="Versions of <i>counted</i>").wait_for()
    versions = page.get_by_role("table", name="Versions", exact=True)
    draft, current, first = (versions.get_by_role("row").nth(at) for at in (1, 2, 3))
    draft.get_by_text("draft").wait_for()
    current.get_by_text("added node step2").wait_for()
    current.get_by_text("changed node step1 params.code").wait_for()
    first.get_by_text("The first version").wait_for()
    first.get_by_text("admin").wait_for()  # the key that saved it

    meaning = page.get_by_role("table", name="What changed in meaning")
    meaning.get_by_role("row").filter(has_text="step1").get_by_text("<img src=x onerror=alert(1)>").wait_for()
    texts = page.get_by_role("table", name="Version 1 beside version 2")
    removed = texts.get_by_role("cell").filter(has_text="Removed:").locator("code")
    assert [text.strip() for text in removed.all_inner_texts()] == ["code: return 1", "code: return 2"]
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.ariaLabel") == "Change 1 of 2"
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.ariaLabel") == "Change 2 of 2"
    page.keyboard.press("p")
    assert page.evaluate("document.activeElement.ariaLabel") == "Change 1 of 2"
    page.get_by_label("Before", exact=True).select_option("2")
    page.get_by_label("After", exact=True).select_option("3")
    page.get_by_role("table", name="Version 2 beside version 3").wait_for()
    assert "from=2" in page.url
    assert "to=3" in page.url
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    save("return 1", "return 2", "return 3")  # somebody else, meanwhile
    page.get_by_role("button", name="Restore version 1").click()
    dialog = page.get_by_role("dialog", name="Restore a version")
    dialog.get_by_role("button", name="Restore version 1").click()
    dialog.get_by_text("Somebody saved this workflow").wait_for()
    assert client.get("/workflows/counted").json()["version"] == 4
    dialog.get_by_role("button", name="Show what it is now").click()
    versions.get_by_role("row").nth(1).get_by_text("current").wait_for()
    page.get_by_role("button", name="Restore version 1").click()
    dialog.get_by_role("button", name="Restore version 1").click()
    page.get_by_text("Version 5 is the current one now.").wait_for()
    assert client.get("/workflows/counted").json()["document"]["nodes"] == document("return 1", "return 2")["nodes"]

    page.get_by_role("link", name="Who saved it").click()
    page.get_by_role("table", name="Audit log").get_by_text("replace_workflow").first.wait_for()

    page.goto(f"{server.console}workflows/counted/versions?locale=en-XA&from=1&to=2")
    page.get_by_role("table").nth(2).wait_for()
    assert hard_coded(page) == []
