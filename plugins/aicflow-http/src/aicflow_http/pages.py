"""Walking through the pages of a list and putting their items together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx2
from aicflow import PermanentError, pointer_keys

from aicflow_http.params import (
    CursorPagination,
    LinkPagination,
    OffsetPagination,
    PagePagination,
    Pagination,
    ResponseOptions,
)
from aicflow_http.requests import Outgoing, json_bytes, parse_url, with_query
from aicflow_http.responses import Reply, parse_json

ABSENT: Any = object()


class Ask(Protocol):
    """Sends a request and follows its redirects; `most` bytes of the body are kept. Raises NodeError."""

    async def __call__(self, request: Outgoing, *, most: int) -> Reply: ...


@dataclass(slots=True)
class Collected:
    """The pages so far: the last response, the items of all and of the last one, and whether the walk ended before the
    last page."""

    reply: Reply
    items: list[Any] = field(default_factory=list)
    last: list[Any] = field(default_factory=list)
    pages: int = 0
    size: int = 0
    has_more: bool = False


async def collect(
    ask: Ask,
    first: Outgoing,
    rule: Pagination,
    options: ResponseOptions,
    check: Callable[[Reply], None],
) -> Collected:
    """Ask for page after page. `check` raises for responses that fail the step. An accepted error status ends the walk,
    and so does a 404 for a page that was not announced. Raises NodeError."""
    request: Outgoing | None = _opening(first, rule)
    found: Collected | None = None
    seen: set[str] = set()
    while request is not None:
        left = rule.max_bytes - (found.size if found else 0)
        reply = await ask(request, most=min(options.max_bytes, left))
        if found and reply.status == 404 and isinstance(rule, PagePagination | OffsetPagination):
            return found  # past the end
        check(reply)
        if reply.truncated:
            if found is not None and left < options.max_bytes:
                found.has_more = True  # the cap on all pages together
                return found
            raise _too_large(min(options.max_bytes, left))
        found = replace(found, reply=reply) if found else Collected(reply)
        if reply.status >= 300 or not (reply.content or found.pages):
            found.has_more = found.pages > 0  # it was not a page, though one was asked for
            return found
        body = parse_json(reply, options) if reply.content else None
        items = _items(body, rule) if reply.content else []
        if items and items == found.last and _was_short(items, rule):
            return found  # the first page was all: asked for the next one, the server answered the same
        found.items.extend(items)
        found.pages += 1
        found.size += len(reply.content)
        request = _next(request, reply, body, items, rule, seen, len(found.last) if found.pages > 1 else None)
        found.last = items
        found.has_more = request is None and _announced(body, rule)
        over = len(found.items) > rule.max_items
        full = len(found.items) >= rule.max_items or found.pages >= rule.max_pages or found.size >= rule.max_bytes
        if over or (full and request is not None):
            del found.items[rule.max_items :]
            found.has_more = True
            return found
    assert found is not None
    return found


def _too_large(most: int) -> PermanentError:
    return PermanentError(
        f"A page is larger than {most} bytes.",
        code="http-too-large",
        pointer="/response/max_bytes",
        hint="Raise response.max_bytes and pagination.max_bytes, or ask for smaller pages.",
    )


def _items(body: Any, rule: Pagination) -> list[Any]:
    items = find(body, rule.items)
    if not isinstance(items, list):
        what = "nothing" if items is ABSENT else type(items).__name__
        where = f"at {rule.items!r}" if rule.items else "as its whole"
        raise PermanentError(
            f"The page holds no list {where}, but {what}.", code="http-pagination", pointer="/pagination/items"
        )
    return items


def _opening(request: Outgoing, rule: Pagination) -> Outgoing:
    """The first request, with the number or offset that it starts at."""
    match rule:
        case PagePagination():
            sizes = [(rule.size_param, rule.size)] if rule.size_param and rule.size else []
            return _asking(request, [(rule.param, rule.start), *sizes])
        case OffsetPagination():
            limits = [(rule.limit_param, rule.limit)] if rule.limit_param else []
            return _asking(request, [(rule.param, rule.start), *limits])
    return request


def _was_short(items: list[Any], rule: Pagination) -> bool:
    """Whether a page had fewer items than were asked for: the list ends, or the server has a limit of its own."""
    wanted = rule.size if isinstance(rule, PagePagination) else rule.limit if isinstance(rule, OffsetPagination) else 0
    return len(items) < (wanted or 0)


def _announced(body: Any, rule: Pagination) -> bool:
    """Whether the page says that another one follows, although it does not say how to ask for it."""
    found = find(body, rule.has_more) if isinstance(rule, CursorPagination) and rule.has_more else ABSENT
    return found is not ABSENT and bool(found)


def _next(
    request: Outgoing,
    reply: Reply,
    body: Any,
    items: list[Any],
    rule: Pagination,
    seen: set[str],
    before: int | None,
) -> Outgoing | None:
    """The request for the page after this one, None after the last. `seen` holds what was asked for before, `before`
    how many items the page before this one had: a server may return fewer than it was asked for, so the first page's
    length tells nothing yet."""
    match rule:
        case LinkPagination():
            link = linked(reply.headers.get_list("link"), rule.rel, reply.request.url)
            return _elsewhere(request, reply, link, seen) if link else None
        case CursorPagination():
            return _by_cursor(request, reply, body, rule, seen)
        case PagePagination():
            if not items or (rule.size is not None and before is not None and len(items) < min(before, rule.size)):
                return None
            return _asking(request, [(rule.param, _bump(request, rule.param, 1))])
        case OffsetPagination():
            if not items or (before is not None and len(items) < min(before, rule.limit)):
                return None
            return _asking(request, [(rule.param, _bump(request, rule.param, len(items)))])


def _bump(request: Outgoing, param: str, by: int) -> int:
    """The number that this request asked for, plus the step."""
    return int(request.url.params[param]) + by


def _by_cursor(request: Outgoing, reply: Reply, body: Any, rule: CursorPagination, seen: set[str]) -> Outgoing | None:
    if rule.has_more is not None and not find(body, rule.has_more):
        return None
    value = find(body, rule.cursor or rule.next_url or "")
    if value is ABSENT or value is None or value in ("", False):
        return None
    if rule.next_url is not None:
        if not isinstance(value, str):
            raise _unusable("/pagination/next_url", "is not a URL")
        return _elsewhere(request, reply, value, seen)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _unusable("/pagination/cursor", "is neither text nor a number")
    _remember(str(value), seen)
    if rule.location == "query":
        return _asking(request, [(rule.param, value)])
    if not isinstance(request.json_value, dict):
        raise _unusable("/pagination/location", "wants a body of type json that is an object")
    changed = {**request.json_value, rule.param: value}
    return replace(request, json_value=changed, content=json_bytes(changed))


def _asking(request: Outgoing, items: list[tuple[str, Any]]) -> Outgoing:
    return replace(request, url=with_query(request.url, items, replace=True))


def _elsewhere(request: Outgoing, reply: Reply, link: str, seen: set[str]) -> Outgoing:
    try:
        url = parse_url(str(reply.request.url.join(link)))
    except (PermanentError, httpx2.InvalidURL, ValueError):
        raise _unusable("/pagination", "leads to a URL that cannot be read") from None
    _remember(str(url), seen)
    return replace(request, url=url)


def _remember(asked: str, seen: set[str]) -> None:
    if asked in seen:
        raise _unusable("/pagination", "leads to a page that was read before")
    seen.add(asked)


def _unusable(pointer: str, why: str) -> PermanentError:
    name = pointer.rpartition("/")[2]
    return PermanentError(f"The next page cannot be asked for: {name} {why}.", code="http-pagination", pointer=pointer)


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


def find(value: Any, path: str) -> Any:
    """The value at the path, ABSENT when there is none. The empty path is the whole; `-1` is a list's last item."""
    for part in pointer_keys(path) if path.startswith("/") else path.split(".") if path else []:
        if isinstance(value, dict):
            value = value.get(part, ABSENT)
        elif isinstance(value, list):
            value = _at(value, part)
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
    return value


def _at(items: list[Any], part: str) -> Any:
    digits = part.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return ABSENT
    try:
        return items[int(part)]
    except IndexError:
        return ABSENT
