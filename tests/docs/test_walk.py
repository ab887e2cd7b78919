"""The architecture page names the files that a request passes until its row is stored."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from aicflow.host.app import create_app
from aicflow.host.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = {
    "aicflow": 1,
    "name": "walked",
    "nodes": [{"id": "a", "type": "wait", "params": {"seconds": 0}}],
    "triggers": [{"id": "t", "type": "trigger.webhook", "params": {"path": "walked", "methods": ["POST"]}}],
}


def page() -> tuple[list[str], list[str], set[str]]:
    """The way of a start, that of a webhook, and all files that the section names."""
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    section = text.partition("## How a request walks through the house")[2].partition("\n## ")[0]
    start, _, webhook = section.partition("A webhook's body passes")
    numbered = re.compile(r"^\d+\. `([^`]+)`", re.MULTILINE)
    return numbered.findall(start), numbered.findall(webhook), set(re.findall(r"`([\w/]+\.(?:py|sql))`", section))


def name_of(path: str) -> str | None:
    """A source file of ours as the page writes it."""
    if "/src/" not in path or not path.startswith(str(ROOT)):
        return None
    return path.rpartition("/src/")[2].removeprefix("aicflow/")


@contextmanager
def walking(passed: list[str]) -> Iterator[threading.Event]:
    """Notes each file of ours whose functions this task calls, and the store's threads, until the event is set."""
    arrived = threading.Event()
    task, loop_thread = asyncio.current_task(), threading.get_ident()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or arrived.is_set():
            return
        name = name_of(frame.f_code.co_filename)
        if name is None or name in passed:
            return
        on_loop = threading.get_ident() == loop_thread
        if asyncio.current_task() is task if on_loop else name.startswith("store/"):
            passed.append(name)

    threading.setprofile_all_threads(note)
    sys.setprofile(note)
    try:
        yield arrived
    finally:
        threading.setprofile_all_threads(None)
        sys.setprofile(None)


async def post(app: Any, path: str, value: Any, key: str) -> tuple[int, Any]:
    """One request, straight into the app."""
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": json.dumps(value).encode(), "more_body": False}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers,
        "server": ("localhost", 80), "client": ("localhost", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


async def walk(app: Any, path: str, value: Any, key: str) -> list[str]:
    """The files that a request passes until the store has created its execution."""
    runtime, passed = app.state.runtime, list[str]()
    executions = runtime.store.executions
    status, first = await post(app, path, value, key)
    assert status == 202, "the first one loads what is loaded once"
    assert await runtime.executions.wait(first.get("id") or first["execution_id"], 20) is not None
    create = executions.create
    with walking(passed) as arrived:

        async def noted(*arguments: Any, **more: Any) -> Any:
            created = await create(*arguments, **more)
            arrived.set()
            return created

        executions.create = noted
        assert (await post(app, path, value, key))[0] == 202
        executions.create = create
    return passed


async def test_a_request_walks_as_the_architecture_page_says(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    start_way, webhook_way, named = page()
    async with app.router.lifespan_context(app):
        key = app.state.runtime.data.admin_key()
        _, saved = await post(app, "/api/v1/workflows", WORKFLOW, key)
        start = await walk(app, "/api/v1/executions", {"workflow_id": saved["id"], "input": {"n": 1}}, key)
        webhook = await walk(app, "/hooks/walked", {"n": 1}, key)
    assert len(start_way) <= 12
    assert len(webhook_way) <= 10
    unnamed = {*start, *webhook} - named
    assert not unnamed, "the page names every file"
    unseen = {"host/requests.py", "store/sqlite/batch.sql"}  # a model and a statement call no function of theirs
    assert not set(start_way) - {*start} - unseen, "and none that is not passed"
    assert not set(webhook_way) - {*webhook}
