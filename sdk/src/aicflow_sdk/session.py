"""Sending requests with retries over a transport, and reading their replies as models, one by one or page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from aicflow_sdk.decode import decode
from aicflow_sdk.errors import AICFlowError, ConnectionFailed
from aicflow_sdk.messages import Pieces, QueryValue, Reply, Request, encode_json, error_of, path
from aicflow_sdk.models import Page, Workflow
from aicflow_sdk.retry import Retry

_PAGE_SIZE = 100
_REPEATABLE = frozenset({"GET", "PUT", "PATCH", "DELETE"})


class Closed(ConnectionFailed):
    """A stream has ended. `code` is that of the closing handshake; 1006 when there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"The stream broke off ({code} {reason}).", sent=False)
        self.code = code


class Stream(Protocol):
    """An open stream."""

    async def receive(self, timeout: float | None) -> str | None:
        """The next message; None when none comes within `timeout` seconds. Raises Closed."""


class Transport(Protocol):
    """What the client needs from outside."""

    async def send(self, request: Request) -> Reply:
        """The reply, whatever its status. Raises ConnectionFailed."""

    async def receive(self, request: Request, write: Callable[[bytes], object]) -> Reply:
        """The reply without its body, which is written as it comes; of a refusal, with its body. Raises
        ConnectionFailed, also when only a part has come."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def stream(self, path: str) -> AbstractAsyncContextManager[Stream]:
        """An open stream. Raises ConnectionFailed, or the error of a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    data: tuple[Any, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A transport, how often requests are sent again, and how often a broken stream is reopened."""

    transport: Transport
    retry: Retry = field(default_factory=Retry)
    reconnect: Retry = field(default_factory=lambda: Retry(attempts=12))

    async def call[T](
        self,
        kind: type[T],
        method: str,
        *segments: str,
        query: Mapping[str, QueryValue] | None = None,
        json: Any = ...,
        content: tuple[bytes | Pieces, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        api: bool = True,
        **options: Any,
    ) -> T:
        """The reply of one request as a `kind`. The body is `json`, or `content`: bytes and their type. A request may
        be sent again by its method, or when it has an idempotency key, unless `repeatable` says it. `options` are those
        of Request. Raises AICFlowError."""
        all_headers = dict(headers or {})
        if json is not ...:
            content = encode_json(json), "application/json"
        if content is not None:
            all_headers["content-type"] = content[1]
        if repeatable is None:
            repeatable = method in _REPEATABLE or "idempotency-key" in all_headers
        request = Request(
            method=method,
            path=path(*segments, query=query, api=api),
            body=None if content is None else content[0],
            headers=all_headers,
            repeatable=repeatable,
            **options,
        )
        return self.read(kind, await self.send(request))

    async def send(self, request: Request) -> Reply:
        """The reply, after sending the request again where that is safe. Raises AICFlowError."""
        tried = 0
        uncertain = False
        while True:
            tried += 1
            try:
                reply = await self.transport.send(request)
            except ConnectionFailed as failure:
                error: AICFlowError = failure
                uncertain = uncertain or failure.sent
            else:
                if 200 <= reply.status < 300 or reply.status == request.accept:
                    return reply
                if uncertain and request.gone_is_done and reply.status == 404:
                    return Reply(204, reply.headers, b"")
                error = error_of(reply)
                uncertain = True
            await self.again(error, tried, self.retry, repeatable=request.repeatable)

    async def again(self, error: AICFlowError, tried: int, retry: Retry, *, repeatable: bool = True) -> None:
        """Wait before the next try. Raises the error when it is final."""
        delay = retry.after(error, tried, repeatable=repeatable)
        if delay is None:
            raise error
        await self.transport.sleep(delay)

    def read[T](self, kind: type[T], reply: Reply) -> T:
        """The reply as a `kind`; `object` is its plain JSON. Raises UnexpectedReply."""
        if kind is type(None):
            return None
        value = reply.json()
        if kind is Workflow and isinstance(value, dict):
            value["etag"] = reply.headers.get("etag")
        return value if kind is object else decode(kind, value)

    async def items[T](self, kind: type[T], *segments: str, **query: QueryValue) -> Page[T]:
        """A list of `kind`, or one page of it. Raises AICFlowError."""
        found = decode(_List, await self.call(object, "GET", *segments, query=query))
        return Page(data=tuple(self.item(kind, one) for one in found.data), next_cursor=found.next_cursor)

    def item[T](self, kind: type[T], value: Any) -> T:
        """One item of a list as a `kind`."""
        return decode(kind, value)


class AsyncPages[T]:
    """A list that is fetched page by page while it is iterated with `async for`; each iteration starts over."""

    def __init__(self, session: Session, kind: type[T], *segments: str, limit: int | None, **query: QueryValue) -> None:
        self._session = session
        self._kind = kind
        self._segments = segments
        self._query = query
        self._limit = limit

    async def __aiter__(self) -> AsyncGenerator[T]:
        wanted = self._limit
        cursor: str | None = None
        while wanted is None or wanted > 0:
            page = await self._page(cursor, wanted)
            for item in page.data[:wanted]:
                yield item
            if page.next_cursor in (None, cursor):
                return
            cursor = page.next_cursor
            wanted = None if wanted is None else wanted - len(page.data)

    async def page(self, cursor: str | None = None) -> Page[T]:
        """One page, for callers that keep the cursor themselves."""
        return await self._page(cursor, self._limit)

    async def _page(self, cursor: str | None, most: int | None) -> Page[T]:
        size = _PAGE_SIZE if most is None else min(_PAGE_SIZE, most)
        return await self._session.items(self._kind, *self._segments, **self._query, limit=size, cursor=cursor)


class AsyncItems[T]:
    """Items as they come. Iterate once; leaving the `async with` block, or `aclose`, closes the connection."""

    def __init__(self, items: AsyncGenerator[T]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop."""
        await self._items.aclose()
