"""A real `aicflow serve` with the console, and Debian's Chromium in front of it.

Every page that a test opens is watched: it fails on anything that the content security policy stopped, on errors in the
browser's console, and on requests to another host."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Server:
    """A running server: its address, the admin key, and the API as that key sees it."""

    url: str
    link: str
    key: str
    process: subprocess.Popen[str]
    client: httpx2.Client
    printed: list[str] = field(default_factory=list)

    @property
    def console(self) -> str:
        return f"{self.url}/console/"

    def save(self, workflow_id: str, **document: Any) -> None:
        answer = self.client.post(f"/workflows?id={workflow_id}", json={"aicflow": 1, "name": workflow_id, **document})
        assert answer.status_code == 201, answer.text

    def run(self, workflow_id: str, value: Any = None, *, wait: float = 0) -> dict[str, Any]:
        body = {"workflow_id": workflow_id, "input": value}
        answer = self.client.post("/executions", params={"wait": wait} if wait else {}, json=body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with_data = {"AICFLOW_DATA_DIR": str(tmp_path_factory.mktemp("data")), "AICFLOW_LOG_LEVEL": "warning"}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "aicflow", "serve", "--port", "0"],
        env={**{n: v for n, v in os.environ.items() if not n.startswith("AICFLOW_")}, **with_data},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    while not (printed and "readable by this user" in printed[-1]):
        line = process.stdout.readline()
        assert line, f"the server ended: {printed}"
        printed.append(line.rstrip())
    text = "\n".join(printed)
    url, link, key = (
        re.search(pattern, text)[1]  # type: ignore[index]
        for pattern in (r"listens on (\S+)", r"Console: (\S+)", r"shown this once: (\S+)")
    )
    with httpx2.Client(base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        yield Server(url, link, key, process, client, printed)
    process.send_signal(signal.SIGINT)
    process.wait(20)
    process.stdout.close()


@pytest.fixture(scope="module")  # no longer: its event loop stands in the way of asynchronous tests
def chromium() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: uv sync --group browser")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """What must not happen on a page."""

    host: str
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def look(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: (
                self._told(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: self._told(f"error: {error}"))
        page.on("request", lambda request: None if self._is_own(request.url) else self._told(f"asked {request.url}"))

    def _is_own(self, url: str) -> bool:
        return url.startswith((self.host, self.host.replace("http", "ws"), "data:", "blob:"))

    def _told(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.wrong.append(text)


@pytest.fixture
def watched(server: Server) -> Watched:
    return Watched(server.url)


@pytest.fixture
def open_context(chromium: Browser, watched: Watched) -> Iterator[Callable[..., BrowserContext]]:
    """Make contexts of the browser whose pages are watched; options as `new_context` has them."""
    made: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        context.set_default_timeout(20_000)
        context.on("page", watched.look)
        made.append(context)
        return context

    yield new
    for context in made:
        context.close()
    assert watched.wrong == []


@pytest.fixture
def signed_in(server: Server, open_context: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """A page of a browser that is signed in, at a path of the console."""

    def at(path: str = "", **options: Any) -> Page:
        context = open_context(**options)
        headers = {"authorization": f"Bearer {server.key}", "origin": server.url}
        assert context.request.post(f"{server.url}/api/v1/session", headers=headers).status == 201
        page = context.new_page()
        page.goto(server.console + path)
        return page

    return at


@pytest.fixture
def page(signed_in: Callable[..., Page]) -> Page:
    return signed_in("workflows")


def axe(page: Page) -> list[str]:
    """What axe-core finds wrong on the page, by WCAG 2.1 A and AA."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci in plugins/aicflow-console/web")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
    return [
        f"{one['id']}: {node['target']}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
