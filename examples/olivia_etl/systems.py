"""The systems around the job, small enough for an example: a shop that exports CSV and a warehouse that takes rows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

EXPORT = Path(__file__).with_name("orders.csv")


class Systems:
    """Both systems on a free loopback port: GET /export.csv, POST /rows, POST /rejects."""

    def __init__(self) -> None:
        self.loaded: dict[str, list[Any]] = {"/rows": [], "/rejects": []}
        loaded = self.loaded

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, "text/csv", EXPORT.read_bytes())

            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
                loaded[self.path].extend(rows)
                self._answer(201, "application/json", json.dumps({"stored": len(rows)}).encode())

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
