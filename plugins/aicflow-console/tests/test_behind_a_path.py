"""The console behind a reverse proxy that serves the host below a path, which it takes off."""

from __future__ import annotations

import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Server, Watched

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "console.md"
SLOW = "import time\nfor at in range(20):\n    time.sleep(0.05)\nreturn 'done'"


class Plain(socketserver.StreamRequestHandler):
    """The least that a proxy does: each connection is one request, and what is upgraded is passed on as it is."""

    server: Any

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        first, _, rest = head.partition(b"\r\n")
        if not first.split(b" ")[1].startswith(b"/flows/"):
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        if b"upgrade: websocket" not in rest.lower():
            rest = re.sub(rb"(?i)^connection:[^\r]*\r\n", b"", rest, flags=re.MULTILINE)
            rest = b"connection: close\r\n" + rest
        with socket.create_connection(("127.0.0.1", self.server.behind)) as upstream:
            upstream.sendall(first.replace(b" /flows/", b" /", 1) + b"\r\n" + rest)
            threading.Thread(target=self._up, args=(upstream,), daemon=True).start()
            with suppress(OSError):
                while data := upstream.recv(65_536):
                    self.wfile.write(data)

    def _up(self, upstream: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while data := self.rfile.read1(65_536):
                upstream.sendall(data)


@contextmanager
def plain(behind: int) -> Iterator[int]:
    proxy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain, bind_and_activate=True)
    proxy.daemon_threads = True
    proxy.behind = behind  # type: ignore[attr-defined]
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy.server_address[1]
    finally:
        proxy.shutdown()
        proxy.server_close()


@contextmanager
def nginx(behind: int, folder: Path) -> Iterator[int]:
    """As the how-to says it."""
    if (program := shutil.which("nginx")) is None:
        pytest.skip("needs nginx")
    found = re.search(r"(location /flows/ \{.*?\n\})", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    location = found[1].replace("127.0.0.1:8700", f"127.0.0.1:{behind}")
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; user root; events {{}}\n"
        f"http {{ access_log off; {temporary}\nserver {{ listen 127.0.0.1:{port};\n{location}\n}} }}"
    )
    process = subprocess.Popen([program, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("kind", ["plain", "nginx"])
def test_everything_works_below_a_path(
    server: Server, open_context: Callable[..., BrowserContext], watched: Watched, tmp_path: Path, kind: str
) -> None:
    behind = int(server.url.rpartition(":")[2])
    server.save(
        f"behind-{kind}",
        nodes=[{"id": "slow", "type": "python.code", "params": {"code": SLOW}}],
        triggers=[{"id": "in", "type": "trigger.webhook", "params": {"path": f"behind/{kind}"}}],
    )
    with plain(behind) if kind == "plain" else nginx(behind, tmp_path) as port:
        outside = f"http://127.0.0.1:{port}/flows"
        watched.expected.append("401")  # after signing out
        watched.host = f"http://127.0.0.1:{port}"
        command = [Path(sys.executable).parent / "aicflow", "open", "--print", "--url", outside]
        env = {"AICFLOW_API_KEY": server.key, "PATH": "/usr/bin:/bin"}
        link = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()
        assert link.startswith(f"{outside}/console/#ticket=")
        page = open_context().new_page()
        page.goto(link)
        page.get_by_role("heading", level=1).wait_for()
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"]
        page.goto(f"{outside}/")
        page.wait_for_url(f"{outside}/console/**")
        page.goto(f"{outside}/console/workflows/behind-{kind}")  # deep links, and a change by the session
        page.get_by_role("button", name="Run…").click()
        page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
        page.wait_for_url(f"{outside}/console/executions/**")
        with page.expect_event("websocket", lambda one: one.url.startswith(f"ws://127.0.0.1:{port}/flows/api/")):
            page.reload()
        page.get_by_text("succeeded").first.wait_for()
        page.goto(f"{outside}/console/triggers/behind-{kind}%3Ain")
        page.get_by_role("button", name="Listen").click()
        page.get_by_text("the current one, as long as you listen").wait_for()
        shown = page.get_by_role("region", name="Shell command").nth(1).inner_text()
        assert f"'{outside}/hooks/~test/" in shown
        subprocess.run(["sh", "-c", shown], check=True, capture_output=True, timeout=30)
        calls = page.get_by_role("list", name="Calls, newest first")
        calls.get_by_text("test, version 1").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in to AIC Flow").wait_for()
        assert page.url.startswith(f"{outside}/console/")
