"""The console in a browser on the same machine: until a page can be used, a large canvas, how long a key takes.
The browser has no GPU here, so what is painted costs CPU beside the server."""

from __future__ import annotations

import asyncio
import shutil
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from tests.benchmarks.lab import Row
from tests.benchmarks.site import Site, serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

TRIES = 5
NODES = 500
EVENTS = 10_000
_FRAMES = """() => new Promise((done) => {
  const gaps = [];
  let before = performance.now();
  const end = before + 2000;
  const frame = (now) => {
    gaps.push(now - before);
    before = now;
    if (now < end) requestAnimationFrame(frame); else done(gaps.slice(1));
  };
  requestAnimationFrame(frame);
})"""
_WATCH = """() => {
  window.took = new Map();
  new PerformanceObserver((list) => {
    for (const one of list.getEntries())
      if (one.interactionId) took.set(one.interactionId, Math.max(took.get(one.interactionId) ?? 0, one.duration));
  }).observe({type: "event", durationThreshold: 16, buffered: true});
}"""


async def run() -> list[Row]:
    """The rows; none where Playwright or Chromium is missing."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        program = None
    if program is None:
        print("The console is not measured: it needs Chromium, and Playwright (uv sync --group browser).")
        return []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with serving("native") as site:
            measures = (_opening, _canvas, _execution, _typing)
            return [row for measure in measures for row in await measure(browser, site)]


async def _context(browser: Browser, site: Site) -> BrowserContext:
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    headers = {**site.server.headers, "origin": site.server.url}
    await context.request.post(f"{site.api}/session", headers=headers)
    return context


async def _shown(page: Page, url: str, selector: str) -> float:
    """Milliseconds from asking for the page until what is wanted of it is painted."""
    await page.goto(url, wait_until="commit")
    return float(
        await page.evaluate(
            """async (selector) => {
              while (!document.querySelector(selector)) await new Promise(requestAnimationFrame);
              await new Promise(requestAnimationFrame);
              return performance.now();
            }""",
            selector,
        )
    )


async def _opening(browser: Browser, site: Site) -> list[Row]:
    """The list of twenty workflows can be used: cold, with an empty cache, and again."""
    for number in range(20):
        site.save(f"listed-{number}", [{"id": "a", "type": "bench.add", "params": {"n": 1}}])
    url = f"{site.server.url}/console/workflows"
    cold, warm = [], []
    for _ in range(TRIES):
        context = await _context(browser, site)
        page = await context.new_page()
        cold.append(await _shown(page, url, "table tbody tr a"))
        warm.append(await _shown(page, url, "table tbody tr a"))
        await context.close()
    return [
        Row("Console", "first page can be used, empty cache", median(cold), "ms"),
        Row("Console", "first page can be used, again", median(warm), "ms"),
    ]


async def _canvas(browser: Browser, site: Site) -> list[Row]:
    nodes: list[dict[str, Any]] = [{"id": f"n{at}", "type": "bench.add", "params": {"n": at}} for at in range(NODES)]
    edges = [{"from": f"n{(at - 1) // 3}", "to": f"n{at}"} for at in range(1, NODES)]
    document = {"aicflow": 1, "name": "large", "nodes": nodes, "edges": edges}
    site.ask("POST", "/workflows", params={"id": "large"}, json=document)
    context = await _context(browser, site)
    page = await context.new_page()
    first = [
        await _shown(page, f"{site.server.url}/console/workflows/large", ".react-flow__node") for _ in range(TRIES)
    ]
    still = await page.evaluate(_FRAMES)
    pane = await page.locator(".react-flow__pane").bounding_box()
    assert pane is not None
    x, y = pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] - 20
    await page.mouse.move(x, y)
    await page.mouse.down()
    frames = asyncio.ensure_future(page.evaluate(_FRAMES))
    for step in range(120):
        await page.mouse.move(x + step % 40 * 5, y - step % 30 * 5)
    gaps = await frames
    await page.mouse.up()
    await context.close()
    return [
        Row("Console", f"canvas of {NODES} nodes, first painted", median(first), "ms"),
        Row("Console", f"canvas of {NODES} nodes, frames while it is moved", 1000 * len(gaps) / sum(gaps), "frames/s"),
        Row("Console", "frames while nothing moves", 1000 * len(still) / sum(still), "frames/s"),
    ]


async def _execution(browser: Browser, site: Site) -> list[Row]:
    """An execution with so many events: a node that says as many lines."""
    site.save("lines", [{"id": "say", "type": "bench.lines", "params": {"count": EVENTS}}])
    made = site.ask("POST", "/executions", params={"wait": 60}, json={"workflow_id": "lines"})
    context = await _context(browser, site)
    page = await context.new_page()
    url = f"{site.server.url}/console/executions/{made['id']}"
    painted = [await _shown(page, url, ".react-flow__node .status") for _ in range(TRIES)]
    await context.close()
    return [Row("Console", f"execution of {EVENTS:,} events, painted", median(painted), "ms")]


async def _typing(browser: Browser, site: Site) -> list[Row]:
    """From a key or a click to the next frame, over walks through pages, dialogs and fields."""
    context = await _context(browser, site)
    page = await context.new_page()
    await _shown(page, f"{site.server.url}/console/workflows", "table tbody tr a")
    await page.evaluate(_WATCH)
    pressed = 0
    for _ in range(TRIES):
        for letter in "eotnwakshw":
            await page.keyboard.press("g")
            await page.keyboard.press(letter)
            await page.locator("h1").wait_for()
            pressed += 2
        await page.keyboard.press("Control+k")
        await page.get_by_role("dialog").wait_for()
        await page.keyboard.type("work", delay=20)
        await page.keyboard.press("Escape")  # what was typed
        await page.keyboard.press("Escape")  # the dialog
        await page.get_by_role("dialog").wait_for(state="detached")
        pressed += 7
    slow: list[float] = await page.evaluate("[...took.values()]")
    took = slow + [16.0] * max(0, pressed - len(slow))  # the browser does not tell of what is quicker
    await context.close()
    return [Row("Console", "a key until it shows, 95th percentile", quantiles(took, n=20)[-1], "ms")]
