"""The page at /docs: the API at a glance, made from the OpenAPI document, with nothing loaded from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

__all__ = ["docs_html"]

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222;background:#fff}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f5f5f5;padding:.75rem;overflow:auto}
summary{cursor:pointer;padding:.3rem 0}summary b{display:inline-block;min-width:4.5rem}
details>div{margin:0 0 1rem 1.2rem}h2{margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}h2{border-color:#444}}
"""


def docs_html(document: dict[str, Any]) -> str:
    """The page."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(method, path, operation))
    shapes = "".join(_shape(name, schema) for name, schema in document["components"]["schemas"].items())
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    about = "".join(f"<p>{escape(part)}</p>" for part in document["info"]["description"].strip().split("\n\n"))
    parts = "".join(f"<h2>{escape(tag)}</h2>{''.join(calls)}" for tag, calls in groups.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>{about}'
        f'<p>The whole description is at <a href="/openapi.json">/openapi.json</a>.</p>{parts}'
        f"<h2>shapes</h2>{shapes}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code><td>{escape(one['in'])}"
        f"<td>{escape(one.get('description') or one['schema'].get('description') or '')}"
        for one in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{escape(status)}<td>{escape(answer['description'])}"
        for status, answer in operation["responses"].items()
    )
    body = ", ".join(
        f"{kind}: {content['schema'].get('$ref', '').rpartition('/')[2] or 'text'}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary><div><p>{escape(operation.get('description', ''))}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<p>Body: {escape(body)}</p>" if body else "")
        + f"<table>{answers}</table></div></details>"
    )


def _shape(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>"
