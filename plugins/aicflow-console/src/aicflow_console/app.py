"""The ASGI app that sends the console's files: the one page for every address, its assets for good."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

# React Flow places nodes by style attributes; scripts run from files of this host only
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_BASE: Final = b'<base href="./"'
_COMPRESSED: Final = ("text/", "application/json", "image/svg", "application/manifest")
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _File:
    """A file of the console, as it was built."""

    data: bytes
    kind: str

    @cached_property
    def tag(self) -> str:
        return f'"{blake2b(self.data, digest_size=12).hexdigest()}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.data, 9, mtime=0)

    def response(self, request: Request, cache: str) -> Response:
        headers = {
            "cache-control": cache,
            "etag": self.tag,
            "vary": "accept-encoding",
            "content-security-policy": POLICY,
        }
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        data = self.data
        if self.kind.startswith(_COMPRESSED) and "gzip" in request.headers.get("accept-encoding", ""):
            data = self.compressed
            headers["content-encoding"] = "gzip"
        return Response(data, headers=headers, media_type=self.kind)


@cache
def built_files() -> dict[str, _File]:
    """The files by their path below the console."""
    found: dict[str, _File] = {}

    def walk(folder: Traversable, path: str) -> None:
        for one in folder.iterdir():
            if one.is_dir():
                walk(one, f"{path}{one.name}/")
            else:
                kind = "text/javascript" if one.name.endswith(".js") else mimetypes.guess_type(one.name)[0]
                found[path + one.name] = _File(one.read_bytes(), kind or "application/octet-stream")

    walk(files("aicflow_console") / "static", "")
    return found


def console_app() -> ASGIApp:
    """The app, for mounting anywhere: what is asked for below its own path decides."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope)
        await _answer(request)(scope, receive, send)

    return app


def _answer(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(status_code=405, headers={"allow": "GET, HEAD"})
    found = built_files()
    root = request.scope.get("root_path", "")
    path = request.scope["path"].removeprefix(root).removeprefix("/")
    if path.startswith("assets/") or path in found:
        file = found.get(path)
        if file is None:
            return Response("Not found", 404, media_type="text/plain")
        if path != "index.html":
            return file.response(request, _FOR_GOOD if path.startswith("assets/") else "public, max-age=3600")
        path = ""
    # an address inside of the console: the same page, which looks for its files above, behind any proxy's prefix
    up = "../" * path.count("/") or "./"
    page = found["index.html"]
    return _File(page.data.replace(_BASE, f'<base href="{up}"'.encode(), 1), page.kind).response(request, "no-cache")
