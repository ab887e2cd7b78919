"""Link headers by RFC 8288, read as its appendix B says: what is damaged costs that link, never the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import httpx2

__all__ = ["linked"]

_TARGET = re.compile(r"[\s,]*<([^>]*)>")
_PARAM = re.compile(r'\s*;\s*([^\s=;,"]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;,"]*)))?')
_REST = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)*')


def linked(values: Iterable[str], rel: str, base: httpx2.URL) -> str | None:
    """Where the first link with this relation leads, as written. Relations are compared without regard to case; a link
    whose `anchor` is another page than `base` says nothing about this one."""
    for value in values:
        for target, params in _links(value):
            if rel.lower() in params.get("rel", "").lower().split() and _is_about(params.get("anchor"), base):
                return target
    return None


def _links(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    at = 0
    while target := _TARGET.match(value, at):
        at = target.end()
        params: dict[str, str] = {}
        while (param := _PARAM.match(value, at)) and param.end() > at:
            at = param.end()
            name, quoted, token = param.groups()
            text = token or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            params.setdefault(name.lower(), text)  # of several the first holds
        rest = _REST.match(value, at)
        at = rest.end() if rest else len(value)
        yield target[1].strip(), params


def _is_about(anchor: str | None, base: httpx2.URL) -> bool:
    if anchor is None:
        return True
    try:
        return base.join(anchor) == base
    except httpx2.InvalidURL:
        return False
