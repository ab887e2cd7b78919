"""The world outside of a server under test: one HTTP service on loopback whose routes are plain functions."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Asked", "Outside"]


@dataclass(frozen=True)
class Asked:
    """One request. `parts` is what the route's pattern captured."""

    method: str
    path: str
    parts: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Outside:
    """Answers what routes say, and remembers every request that it answered."""

    def __init__(self) -> None:
        outside = self
        self.asked: list[Asked] = []
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Asked], Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                status, kind, content = outside._find(self.command, url.path, dict(parse_qsl(url.query)), self, body)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    pass  # who asked is gone

            do_GET = do_POST = do_PUT = do_DELETE = _answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def on(self, method: str, pattern: str) -> Callable[[Callable[[Asked], Any]], Callable[[Asked], Any]]:
        """A route: its function returns a JSON value, text (sent as HTML), or a status with one of them."""

        def add(answer: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
            self._routes.append((method, re.compile(pattern), answer))
            return answer

        return add

    def of(self, method: str, start: str) -> list[Asked]:
        """The requests of a method whose path begins so."""
        return [one for one in list(self.asked) if one.method == method and one.path.startswith(start)]

    def _find(
        self, method: str, path: str, query: dict[str, str], handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, str, bytes]:
        for wanted, pattern, answer in reversed(self._routes):
            if wanted == method and (match := pattern.fullmatch(path)):
                headers = {name.lower(): value for name, value in handler.headers.items()}
                asked = Asked(method, path, match.groups(), query, headers, body)
                self.asked.append(asked)
                found = answer(asked)
                status, value = found if isinstance(found, tuple) else (200, found)
                if isinstance(value, str):
                    return status, "text/html; charset=utf-8", value.encode()
                return status, "application/json", json.dumps(value).encode()
        return 404, "application/json", b'{"error": "no such route"}'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
