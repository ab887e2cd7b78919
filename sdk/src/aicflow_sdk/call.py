"""One call of the API, described: what is sent and how the reply is read. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from aicflow_sdk import jsonable
from aicflow_sdk.decode import decode
from aicflow_sdk.models import Page
from aicflow_sdk.replies import Reply

__all__ = ["PREFIX", "Call", "Listing", "encode_json", "keyed", "model", "nothing", "path", "query"]

PREFIX: Final = "/api/v1"

type QueryValue = str | int | float | bool | datetime | Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call[T]:
    """`repeatable`: whether receiving it twice does what receiving it once does, so that it may be sent again when
    nobody knows whether the first one arrived. `patience`: seconds that the server may take on purpose. `gone_is_done`:
    a repeated call that finds nothing any more has done its work the first time. `accept`: statuses besides 2xx that
    are answers."""

    method: str
    path: str
    parse: Callable[[Reply], T]
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    patience: float = 0.0
    gone_is_done: bool = False
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing[T]:
    """A list in pages: `path` with its filters, `item` reads one item, at most `limit` items are wanted in all."""

    path: str
    item: type[T]
    limit: int | None = None
    page_size: int = 100

    def page(self, cursor: str | None, most: int | None = None) -> Call[Page[T]]:
        """The call for one page."""
        size = self.page_size if most is None else min(self.page_size, most)
        joint = "&" if "?" in self.path else "?"
        return Call(
            method="GET",
            path=f"{self.path}{joint}{query(limit=size, cursor=cursor)[1:]}",
            parse=self._read,
            repeatable=True,
        )

    def _read(self, reply: Reply) -> Page[T]:
        raw = decode(_RawPage, reply.json())
        return Page(data=tuple(decode(self.item, item) for item in raw.data), next_cursor=raw.next_cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawPage:
    data: tuple[Any, ...]
    next_cursor: str | None


def path(*segments: str, api: bool = True) -> str:
    """A path under the API's prefix; every segment is data and cannot become another path. Raises ValueError."""
    for segment in segments:
        if not isinstance(segment, str) or segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} is not an id")
    return (PREFIX if api else "") + "".join("/" + quote(segment, safe=":") for segment in segments)


def query(**values: QueryValue) -> str:
    """The query with its `?`, names without a value left out; empty when there is none."""
    pairs = [(name.rstrip("_"), _text(name, value)) for name, value in values.items() if value is not None]
    return "?" + urlencode(pairs) if pairs else ""


def _text(name: str, value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return instant(name, value)
    if isinstance(value, str | int | float):
        return str(value)
    assert value is not None
    return ",".join(value)


def instant(name: str, value: datetime) -> str:
    """An aware datetime as the API reads it. Raises ValueError for one without a time zone."""
    try:
        return jsonable.instant(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def encode_json(value: Any) -> bytes:
    """The value as JSON; datetimes, UUIDs, enums and dataclasses too. Raises TypeError or ValueError that names the
    place of what JSON cannot say."""
    try:
        plain = jsonable.plain_json(value)
    except RecursionError:
        raise ValueError("The value contains itself, or is nested too deep.") from None
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def keyed(idempotency_key: str | None) -> dict[str, str]:
    """The header that lets a creating call be sent again, with a key of its own unless given."""
    return {"idempotency-key": str(uuid4()) if idempotency_key is None else idempotency_key}


def model[T](cls: type[T]) -> Callable[[Reply], T]:
    """Reads the reply as a model."""
    return lambda reply: decode(cls, reply.json())


def nothing(reply: Reply) -> None:
    """Reads a reply that says nothing."""
