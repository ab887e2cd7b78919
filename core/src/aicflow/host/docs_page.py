"""/docs: Swagger UI over the OpenAPI document, and / which leads there. Everything it loads comes from this host."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from aicflow import __version__
from aicflow.host.pages import json_response
from aicflow.host.problems import Problem

# Swagger UI styles its elements in place; scripts run from files of this host only
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css">
</head><body><div id="docs"></div><noscript>This page needs JavaScript; the document itself is at
<a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>
"""
_START: Final = """\
SwaggerUIBundle({
  url: "openapi.json", dom_id: "#docs", deepLinking: true, filter: true, tryItOutEnabled: true,
  docExpansion: "list", defaultModelsExpandDepth: 0, displayRequestDuration: true, validatorUrl: null,
});
"""
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def docs_routes(document: Callable[[], dict[str, Any]]) -> list[Route]:
    """The routes of /openapi.json and /docs. They need no key: they tell nothing of what is stored."""

    async def description(request: Request) -> Response:
        return json_response(document())

    async def page(request: Request) -> Response:
        title = escape(f"AIC Flow {__version__}")
        return HTMLResponse(_PAGE.format(title=title), headers={"content-security-policy": _POLICY})

    async def start(request: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    def asset(name: str, kind: str) -> Route:
        path = Path(str(files("fastapi_swagger") / "resources" / name))

        async def serve(request: Request) -> Response:
            return FileResponse(path, media_type=kind, headers={"cache-control": "max-age=3600"})

        return Route(f"/docs/{name}", serve)

    return [
        Route("/openapi.json", description),
        Route("/docs", page),
        Route("/docs/start.js", start),
        *(asset(name, kind) for name, kind in _ASSETS.items()),
    ]


CONSOLE: Final = "/console"
"""Where a plugin mounts the console, if one does."""


def console() -> Route:
    """The console's path without its slash, which no mount answers."""

    async def answer(request: Request) -> Response:
        if not request.app.state.access.is_mounted(CONSOLE):
            raise Problem("not-found", "There is no console here.", hint="Install it: pip install aicflow-console")
        return RedirectResponse("console/", 307)

    return Route(CONSOLE, answer)


def root(*, docs: bool) -> Route:
    """/ leads a browser to the console or the documentation, and shows a program where the API is."""
    where = {"name": "AIC Flow", "api": "/api/v1"} | ({"docs": "/docs", "openapi": "/openapi.json"} if docs else {})

    async def answer(request: Request) -> Response:
        console = request.app.state.access.is_mounted(CONSOLE)
        if (console or docs) and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("console/" if console else "docs", 307, headers={"vary": "accept"})
        return json_response(where | ({"console": CONSOLE} if console else {}), headers={"vary": "accept"})

    return Route("/", answer)
