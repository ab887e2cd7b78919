"""One attempt of http.request: from params to an HttpResponse, over redirects and expired tokens. Imports the HTTP
library, which takes a quarter of a second, so it is imported when the node starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from aicflow import AICFlowError, Context, NodeError, PermanentError, cut
from aicflow.net import Guard, HttpSettings, Pool, Progress, ProxyChoice, Response, origin_of, read_proxy, retry_after

from aicflow_http.failures import may_repeat, status_error, transport_error
from aicflow_http.pages import collect
from aicflow_http.params import HttpRequestParams, HttpResponse, OAuth2ClientCredentials, Tls
from aicflow_http.pools import Pools
from aicflow_http.requests import Outgoing, authorized, build, credentials_of, parse_url, shown_url, with_header
from aicflow_http.responses import Decoder, Reply, content_type, file_name, parse, text_of
from aicflow_http.tokens import Tokens

_TOKEN_BYTES = 1_000_000
_REDIRECT_BYTES = 65_536
_SPARE = 65_536
_YIELD_AFTER = 8  # pieces that are unpacked before other tasks have their turn: half a megabyte
_MOST_STALE = 25  # idle connections that the server may have closed meanwhile

# Headers that go along to another origin: none of them is made to carry a secret.
_HARMLESS_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-encoding",
    "content-language", "content-type", "date", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "pragma", "prefer", "range", "user-agent",
})  # fmt: skip


class Shared:
    """What all steps of a process share: pools, tokens, the guard and the operator's settings."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.guard = Guard(settings.allow, settings.resolver)
        self.pools = Pools(self.guard)
        self.tokens = Tokens()


async def send(shared: Shared, ctx: Context, params: HttpRequestParams) -> HttpResponse:
    """Send, follow, read. Raises TransientError and PermanentError; see `failures` for their codes."""
    began = time.monotonic()
    for credential in credentials_of(params):
        ctx.mask(credential)
    conversation = _Conversation(shared, params, ctx)
    if params.tls is not None and not params.tls.verify:
        ctx.log("The server's certificate is not checked (tls.verify is false).", level="warning")
    request = build(params, ctx)
    options = params.response

    def check(reply: Reply) -> None:
        if not params.accepts(reply.status):
            raise _status_error(reply, params, ctx)

    if params.pagination is None:
        reply = await conversation.ask(request, most=options.max_bytes)
        check(reply)
        if reply.truncated and options.on_too_large == "fail":
            raise PermanentError(
                f"The response of {shown_url(reply.request.url)} is larger than {options.max_bytes} bytes.",
                code="http-too-large",
                pointer="/response/max_bytes",
                hint="Raise response.max_bytes, or set response.on_too_large to 'truncate' to keep the beginning.",
            )
        body, body_type = parse(reply, options)
        more: dict[str, Any] = {"size": reply.size, "truncated": reply.truncated}
    else:
        found = await collect(conversation.ask, request, params.pagination, options, check)
        reply = found.reply
        body, body_type = (found.items, "json") if found.pages else parse(reply, options)
        more = {"size": found.size or len(reply.content), "pages": max(found.pages, 1), "has_more": found.has_more}
        if found.has_more:
            ctx.log("The pagination ended before the last page.", level="warning", pages=found.pages)
    set_cookies = [line.partition(";")[0].partition("=") for line in reply.headers.get_list("set-cookie")]
    return HttpResponse(
        status=reply.status,
        headers={name: value for name, value in reply.headers.items() if name != "set-cookie"},
        cookies={name.strip(): value.strip() for name, _, value in set_cookies if name.strip()},
        body=body,
        body_type=body_type,
        content_type=content_type(reply)[0],
        url=str(reply.request.url),
        redirects=conversation.redirects,
        elapsed_ms=round((time.monotonic() - began) * 1000, 3),
        **more,
    )


def _status_error(reply: Reply, params: HttpRequestParams, ctx: Context) -> NodeError:
    where = f"{reply.request.method} {shown_url(reply.request.url)}"
    media = content_type(reply)[0] or ""
    readable = media.startswith("text/") or "json" in media or "xml" in media
    excerpt = ""
    if readable and "html" not in media:
        try:
            excerpt = text_of(reply, params.response)
        except UnicodeError:  # only shown
            excerpt = reply.content.decode("utf-8", "replace")
    return status_error(reply.status, ctx.redact(excerpt), params, where, retry_after(reply.headers, time.time()))


@dataclass(frozen=True, slots=True)
class _Hop:
    """A request and whether it still goes to the party that it was written for. Credentials go only there."""

    request: Outgoing
    trusted: bool


class _Conversation:
    """The requests of one step. Cookies that servers set are kept for its length and no longer."""

    def __init__(self, shared: Shared, params: HttpRequestParams, ctx: Context) -> None:
        self._shared = shared
        self._params = params
        self._ctx = ctx
        self._jar = httpx2.Cookies()
        self._first: httpx2.URL | None = None
        self.redirects = 0

    async def ask(self, request: Outgoing, *, most: int) -> Reply:
        """Send a request and follow where it leads. `most`: bytes of the response that are kept. Raises NodeError."""
        first = self._first = self._first or request.url
        trusted = same_party(first, request.url)
        hop = _Hop(request if trusted else _stripped(request), trusted)  # a next page may be elsewhere
        deadline = asyncio.get_running_loop().time() + self._params.timeouts.total
        rules = self._params.redirects
        followed = 0
        while True:
            # the request as it was before credentials were put on it: its URL is part of the output
            reply = replace(await self._send(hop, most, deadline), request=hop.request)
            if not (rules.follow and reply.is_redirect):
                return reply
            if followed == rules.max:
                raise PermanentError(
                    f"More than {rules.max} redirects, the last one from {shown_url(hop.request.url)}.",
                    code="http-redirect",
                    hint="Raise redirects.max if it is not a loop.",
                )
            followed += 1
            self.redirects += 1
            hop = _redirected(first, hop, reply)

    async def _send(self, hop: _Hop, most: int, deadline: float) -> Reply:
        """One hop, and once more with a new token when the old one is refused."""
        auth = self._params.auth
        request = hop.request
        options = self._params.response
        keep = self._keep if options.as_ == "file" and self._params.pagination is None else None
        if not hop.trusted or not isinstance(auth, OAuth2ClientCredentials):
            if hop.trusted:
                request = authorized(request, auth, now=time.time(), idempotency_key=self._ctx.idempotency_key)
            return await self._exchange(self._with_cookies(request, hop), hop.trusted, most, deadline, keep)

        async def fetch(request: Outgoing) -> Reply:
            return await self._exchange(request, True, _TOKEN_BYTES, deadline)

        realm = (self._params.tls.client_cert or "") if self._params.tls else ""
        token = None
        while True:
            used = token
            token = await self._shared.tokens.get(auth, fetch, realm=realm, now=time.monotonic(), instead_of=used)
            self._ctx.mask(token.value)
            signed = with_header(request, "Authorization", f"{token.scheme} {token.value}")
            reply = await self._exchange(self._with_cookies(signed, hop), True, most, deadline, keep)
            if reply.status != 401 or used is not None:
                return reply

    async def _keep(self, reply: Reply, pieces: AsyncIterator[bytes]) -> Reply:
        """The reply with its body as a file, which is there when all of it has come, and not before."""
        options = self._params.response
        most = options.max_file_bytes

        async def counted() -> AsyncGenerator[bytes]:
            size = 0
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise PermanentError(
                        f"The response of {shown_url(reply.request.url)} is larger than {most} bytes.",
                        code="http-too-large",
                        pointer="/response/max_file_bytes",
                    )
                yield piece

        kind = content_type(reply)[0] or "application/octet-stream"
        async with aclosing(counted()) as source:
            file = await self._ctx.files.write(source, name=file_name(reply, options), type=kind)
        return replace(reply, file=file)

    async def _exchange(
        self, request: Outgoing, trusted: bool, most: int, deadline: float, keep: Keep | None = None
    ) -> Reply:
        """Send and read, through the proxy that is set. Raises NodeError."""
        proxy, params = self._proxy(request.url), self._params
        if proxy is not None:
            await self._shared.guard.check_behind_proxy(*origin_of(request.url)[1:])
        tls = params.tls
        if tls is not None and not trusted:  # a stranger gets the same trust, and no proof of who we are
            tls = Tls(ca=tls.ca, verify=tls.verify)
        pool = self._shared.pools.get(tls, proxy)
        where = f"{request.method} {shown_url(request.url)}"
        for attempt in range(_MOST_STALE):
            progress = Progress()
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await _once(pool, request, params, progress, most, keep)
                    break
            except (httpx2.TransportError, OSError) as error:
                # A kept connection may have been closed by the server just as it was taken up again.
                closed = isinstance(error, httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError)
                stale = closed and not progress.connected and not progress.answered and may_repeat(params)
                if not stale or attempt + 1 == _MOST_STALE:
                    raise transport_error(error, progress, params, where) from None
        lines = [line for line in reply.headers.get_list("set-cookie") if line.isascii()]
        if lines:  # others could not be sent back
            headers = [("set-cookie", line) for line in lines]
            asked = httpx2.Request(request.method, request.url)
            self._jar.extract_cookies(httpx2.Response(reply.status, headers=headers, request=asked))
        return reply

    def _proxy(self, url: httpx2.URL) -> ProxyChoice | None:
        wanted, settings = self._params.proxy, self._shared.settings
        if wanted is None:
            found = settings.proxy_for(url)
            return None if found is None else ProxyChoice(found, operators=True)
        if settings.proxy is not None:
            message, hint = "The operator has set the proxy for all requests.", "Remove 'proxy'."
            raise PermanentError(message, code="http-proxy", pointer="/proxy", hint=hint)
        try:
            read_proxy(wanted, "The param 'proxy'")
        except AICFlowError as error:
            raise PermanentError(error.message, code="http-proxy", pointer="/proxy", hint=error.hint) from None
        return ProxyChoice(wanted, operators=False)

    def _with_cookies(self, request: Outgoing, hop: _Hop) -> Outgoing:
        """The request with what the jar holds for its URL, and with the step's own cookies where they belong."""
        pairs: list[str] = []
        if hop.trusted and self._params.cookies:
            pairs += [f"{name}={value}" for name, value in self._params.cookies.items()]
        if self._jar:
            asked = httpx2.Request(request.method, request.url)
            self._jar.set_cookie_header(asked)
            pairs.append(asked.headers.get("cookie", ""))
        if hop.trusted and any(pairs):
            pairs.insert(0, request.headers.get("cookie", ""))
        cookies = "; ".join(pair for pair in pairs if pair)
        return with_header(request, "Cookie", cookies, "/cookies") if cookies else request


type Keep = Callable[[Reply, AsyncIterator[bytes]], Awaitable[Reply]]
"""Makes a file of a body."""


async def _once(
    pool: Pool, request: Outgoing, params: HttpRequestParams, progress: Progress, most: int, keep: Keep | None
) -> Reply:
    """Send and read once. A body beyond `most` bytes is cut and its connection closed; `keep` takes a success's."""
    headers = [(b"Host", request.url.netloc), *request.headers.raw]
    content = request.content or b""
    if content or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"Content-Length", b"%d" % len(content)))
    limits = {"connect": params.timeouts.connect, "read": params.timeouts.read, "write": params.timeouts.read}
    response = await pool.request(request.method, request.url, headers, content, timeouts=limits, progress=progress)
    try:
        reply = Reply(request, response.status, httpx2.Headers(response.headers), b"")
        if reply.is_redirect:
            most = min(most, _REDIRECT_BYTES)
        decoder = Decoder("" if request.method == "HEAD" else reply.headers.get("content-encoding", ""))
        if keep is not None and params.accepts(reply.status) and not (reply.is_redirect and params.redirects.follow):
            return await keep(reply, _pieces(response, decoder))
        kept, truncated = await _read(response, decoder, most)
        return replace(reply, content=kept, truncated=truncated)
    finally:
        response.close()


async def _read(response: Response, decoder: Decoder, most: int) -> tuple[bytes, bool]:
    """The first `most` decoded bytes and whether there were more. Raw bytes are counted too: some encodings can go on
    forever without decoding to anything."""
    kept = bytearray()
    raw = 0
    while data := await response.read():
        raw += len(data)
        for count, piece in enumerate(decoder.feed(data), 1):
            kept += piece
            if len(kept) > most:
                return bytes(kept[:most]), True
            if count % _YIELD_AFTER == 0:
                await asyncio.sleep(0)
        if raw > most + _SPARE:
            return bytes(kept), True
    _check_complete(decoder)
    return bytes(kept), False


async def _pieces(response: Response, decoder: Decoder) -> AsyncIterator[bytes]:
    """All decoded bytes, a piece at a time."""
    while data := await response.read():
        for count, piece in enumerate(decoder.feed(data), 1):
            yield piece
            if count % _YIELD_AFTER == 0:
                await asyncio.sleep(0)
    _check_complete(decoder)


def _check_complete(decoder: Decoder) -> None:
    if not decoder.complete():
        raise httpx2.RemoteProtocolError("the compressed body ends too early")


def same_party(first: httpx2.URL, other: httpx2.URL) -> bool:
    """Same scheme, host and port; or the same host by https on the usual ports after http."""
    (scheme, host, port), (new_scheme, new_host, new_port) = origin_of(first), origin_of(other)
    upgraded = (scheme, port, new_scheme, new_port) == ("http", 80, "https", 443)
    return host.lower() == new_host.lower() and (upgraded or (scheme, port) == (new_scheme, new_port))


def _redirected(first: httpx2.URL, hop: _Hop, reply: Reply) -> _Hop:
    """The next request. Raises PermanentError for a place that cannot be gone to."""
    request = hop.request
    location = reply.headers["location"]
    try:
        target = parse_url(str(request.url.join(location)))
    except (PermanentError, httpx2.InvalidURL, ValueError):
        raise PermanentError(
            f"{shown_url(request.url)} redirects to a URL that cannot be followed: {cut(location, 100)!r}.",
            code="http-redirect",
            hint="Set redirects.follow to false to look at the response itself.",
        ) from None
    trusted = hop.trusted and same_party(first, target)
    method, content, headers = request.method, request.content, request.headers.copy()
    if (reply.status == 303 and method != "HEAD") or (reply.status in (301, 302) and method == "POST"):
        method, content = "GET", None
        for name in ("content-type", "content-language", "content-encoding"):
            headers.pop(name, None)
    if content and not trusted and request.url.scheme == "https" and target.scheme == "http":
        raise PermanentError(
            f"{shown_url(request.url)} redirects the body of a {method} from https to http.",
            code="http-redirect",
            hint="Ask for the new address directly if it is meant.",
        )
    onward = Outgoing(method, target, headers, content, request.json_value)
    return _Hop(onward if trusted else _stripped(onward), trusted)


def _stripped(request: Outgoing) -> Outgoing:
    """The request for a stranger: without any header that might hold a secret."""
    kept = [(key, value) for key, value in request.headers.raw if key.decode("ascii").lower() in _HARMLESS_HEADERS]
    return replace(request, headers=httpx2.Headers(kept))
