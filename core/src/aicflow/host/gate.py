"""The one layer around the app: request id, who calls and how often, size of bodies, security headers, and unexpected
errors.

Plain ASGI, because a layer that every request passes has to cost microseconds.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.requests import ClientDisconnect

from aicflow.engine.ids import new_id
from aicflow.host.addresses import ADDRESS, Proxies, counted
from aicflow.host.audit import Auditor, Begun
from aicflow.host.body_limit import LimitedBody, Receive, too_large
from aicflow.host.callers import TICKET_PREFIX, Callers
from aicflow.host.keys import Caller
from aicflow.host.logs import CURRENT
from aicflow.host.problems import Problem, problem_from
from aicflow.host.rates import MemoryRates
from aicflow.host.request_limiter import RequestLimiter
from aicflow.host.sessions import PATH as SESSION
from aicflow.host.sessions import check_same_origin, is_of_host
from aicflow.host.settings import Settings
from aicflow.kernel.errors import StoreUnavailable
from aicflow.problems import HIDE, REQUEST_ID
from aicflow.rates import LIMITER, RateStore, headers_of
from aicflow.texts import cut

type ASGI = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CALLER: Final = "aicflow.caller"
SECURE: Final = "aicflow.secure"
"""In a request's scope: whether the client speaks HTTPS, with us or with a proxy of ours."""
KEY_PROTOCOL: Final = "aicflow.key."
TICKET_PROTOCOL: Final = "aicflow.ticket."
_STREAMS: Final = re.compile(r"/api/v1/executions/([^/]+/)?stream\Z")
"""The paths of streams: a ticket is for them only."""
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}\Z")
FILES: Final = "/api/v1/files"
_LIVEZ: Final = "/livez"  # whoever asks must not be told that the process is dead
_log = logging.getLogger("aicflow.host")

_SECURITY: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")
_NO_STORE: Final = (b"cache-control", b"no-store")


class Access:
    """Which paths need no key: exact ones, and what plugins mounted as public. Everything else needs one."""

    def __init__(self) -> None:
        self.exact: set[str] = set()
        self.prefixes: list[str] = []

    def is_public(self, path: str) -> bool:
        """Whether the path may be asked for without a key."""
        return path in self.exact or self.is_mounted(path)

    def is_mounted(self, path: str) -> bool:
        """Whether a plugin's public app answers the path."""
        return any(path == prefix or path.startswith(prefix + "/") for prefix in self.prefixes)


class Gate:
    """ASGI middleware; asks `scope["app"].state.callers` who calls."""

    def __init__(self, app: ASGI, *, settings: Settings, access: Access) -> None:
        self._app = app
        self._rates: RateStore = MemoryRates()
        self._key_rate, self._address_rate, self._wrong_rate = settings.rates
        self._proxies = Proxies(settings.proxies)
        self._limit = settings.max_body_bytes
        self._file_limit = settings.max_file_bytes
        self._origins = frozenset(settings.cors_origins)
        self._access = access
        self._prefix = new_id("rq", time.time()) + "-"  # random once: a system call for each request would cost more
        self._numbers = itertools.count(1)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        request_id = headers.request_id or f"{self._prefix}{next(self._numbers):x}"
        scope[REQUEST_ID] = request_id
        if (runtime := getattr(scope["app"].state, "runtime", None)) is not None:
            scope[HIDE] = runtime.secrets.mask.report
        CURRENT.set(request_id)  # for the log; each request is a task of its own
        client = scope.get("client")
        scope[ADDRESS] = address = self._proxies.client(client[0] if client else None, headers.forwarded)
        rates: RateStore = scope["app"].state.rates or self._rates
        scope[LIMITER] = limiter = RequestLimiter(rates, counted(address), self._wrong_rate)
        secure = scope.get("scheme") in ("https", "wss") or (
            headers.forwarded_https and client is not None and client[0] in self._proxies
        )
        scope[SECURE] = secure
        response = _ResponseHeaders(send, request_id, limiter, secure=secure)
        limit, setting = self._limit, "MAX_BODY_BYTES"
        if scope["path"] == FILES:
            limit, setting = self._file_limit, "MAX_FILE_BYTES"
        body = LimitedBody(receive, limit, setting) if scope["type"] == "http" else None
        auditor: Auditor | None = getattr(scope["app"].state, "auditor", None)
        begun: Begun | None = None
        try:
            _check_url(scope)
            if headers.twice is not None:
                raise Problem("request-malformed", f"The request has the header {headers.twice} twice.")
            await self._admit(scope, headers, limiter)
            if auditor is not None:
                begun = auditor.begin(scope, _actor(scope))
            if body is not None and headers.content_length > limit:
                if not headers.expects:  # a client that waits for `100 Continue` has sent nothing yet
                    await body.drain()
                raise too_large(limit, setting)
            await self._app(scope, body.receive if body is not None else receive, response.send)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as error:
            problem = problem_from(error)
            if problem is None:
                _log.exception("Request %s failed: %s %s", request_id, scope.get("method", "WS"), scope["path"])
                problem = Problem("internal", f"The request failed unexpectedly; its id is {request_id}.")
            if response.started:
                raise  # too late for a response: let the server cut the connection
            await problem.response(scope)(scope, receive, response.send)
        finally:
            if auditor is not None:
                auditor.end(scope, begun, _actor(scope), response.status, response.headers)

    async def _admit(self, scope: MutableMapping[str, Any], headers: _Headers, limiter: RequestLimiter) -> None:
        """Note who calls, and count it. Raises Problem when the path needs an API key and it is missing or invalid,
        and when there were too many requests."""
        scope[_CALLER] = None
        path = scope["path"]
        address = [(self._address_rate, limiter.address)] if self._address_rate is not None else []
        if self._access.is_public(path):
            if path != _LIVEZ:
                await limiter.expect(address)
            return
        if scope["type"] == "websocket" and headers.origin is not None and not self._origin_allowed(headers):
            raise Problem("forbidden", f"Pages of {cut(headers.origin, 200)} may not open streams here.")
        callers: Callers | None = getattr(scope["app"].state, "callers", None)
        if callers is None:
            raise StoreUnavailable("The service is starting or stopping.")
        streams = scope.get("method", "GET") == "GET" and _STREAMS.match(path) is not None
        ticket = _ticket(scope, headers) if streams else None
        how: Callable[[str], Awaitable[Caller | None]] = callers.caller
        if (credential := headers.key) is not None:
            if path == SESSION and credential.startswith(TICKET_PREFIX) and scope.get("method") == "POST":
                how = partial(callers.take_ticket, use="session")
        elif (credential := ticket) is not None:
            how = callers.take_ticket
        elif (credential := headers.cookie(callers.sessions.cookie)) is not None:
            how = callers.sessions.caller
            check_same_origin(
                scope["type"],
                scope.get("method", ""),
                host=headers.host,
                origin=headers.origin,
                site=headers.site,
                secure=scope[SECURE],
            )
        if credential is None:
            await limiter.take(*address)
            raise Problem(
                "unauthorized",
                "The request has no API key.",
                hint="Send `Authorization: Bearer aicf_…`; the admin key is in admin.key in the data folder.",
                headers={"www-authenticate": "Bearer"},
            )
        caller = await limiter.caller(callers, credential, *address, how=how)
        if caller is None:
            raise Problem(
                "unauthorized",
                "The API key, token, ticket or session is not known, was revoked or has expired.",
                headers={"www-authenticate": 'Bearer error="invalid_token"'},
            )
        if not caller.may_come_from(scope[ADDRESS]):
            await limiter.take(*address)  # the key's own requests are not for who took it
            raise Problem("forbidden", f"The API key {caller.name!r} may not be used from this address.")
        if self._key_rate is not None:
            await limiter.take((self._key_rate, caller.key_id), *address)
        else:
            await limiter.take(*address)
        scope[_CALLER] = caller

    def _origin_allowed(self, headers: _Headers) -> bool:
        """Whether a browser's page may open a WebSocket: pages of this host, and the origins in the settings."""
        assert headers.origin is not None
        return headers.origin in self._origins or is_of_host(headers.origin, headers.host)


def _check_url(scope: MutableMapping[str, Any]) -> None:
    """Refuse a path or query that is not UTF-8: decoding it later would silently replace bytes."""
    for what, raw in (("path", scope.get("raw_path") or b""), ("query", scope.get("query_string") or b"")):
        if b"%" in raw or not raw.isascii():
            try:
                unquote_to_bytes(raw).decode()
            except UnicodeDecodeError as error:
                bad = error.object[error.start]
                hint = f"Send UTF-8; a byte is written as %{bad:02X} and é as %C3%A9."
                raise Problem(
                    "request-malformed", f"The {what} holds %{bad:02X}, which is not UTF-8.", hint=hint
                ) from None


def _actor(scope: MutableMapping[str, Any]) -> str:
    caller: Caller | None = scope.get(_CALLER)
    return caller.actor if caller is not None else "anonymous"


def _ticket(scope: MutableMapping[str, Any], headers: _Headers) -> str | None:
    """The ticket that a stream is asked for with, in a subprotocol or in the query, where the route does not see it."""
    query: bytes = scope.get("query_string", b"")
    if headers.ticket is not None or b"ticket=" not in query:
        return headers.ticket
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "ticket"]).encode()
    return next((value for name, value in pairs if name == "ticket"), None)


def key_of(scope: MutableMapping[str, Any]) -> str | None:
    """The API key that a request to a public path carries, whether it counts or not."""
    return _Headers(scope["headers"]).key


def require(scope: MutableMapping[str, Any], wanted: str) -> Caller:
    """The caller of this request, when its key has the scope. Raises Problem `forbidden` or `unauthorized`."""
    caller: Caller | None = scope.get(_CALLER)
    if caller is None:
        raise Problem("unauthorized", "The request has no API key.", headers={"www-authenticate": "Bearer"})
    if not caller.may(wanted):
        have = ", ".join(sorted(caller.scopes)) or "none"
        raise Problem("forbidden", f"This needs the scope {wanted!r}; the API key {caller.name!r} has: {have}.")
    return caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """The caller of a request that passed `require`."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)
    return caller


class _Headers:
    """The few headers that the gate reads, in one pass."""

    __slots__ = (
        "content_length",
        "cookies",
        "expects",
        "forwarded",
        "forwarded_https",
        "host",
        "key",
        "origin",
        "request_id",
        "site",
        "ticket",
        "twice",
    )

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.key: str | None = None
        self.ticket: str | None = None
        self.request_id: str | None = None
        self.content_length = 0
        self.expects = False
        self.forwarded = ""
        self.forwarded_https = False
        self.origin: str | None = None
        self.site: str | None = None
        self.cookies = b""
        self.host = ""
        self.twice: str | None = None
        """A header that says who calls, or whom, more than once: what stands in front may have read the other one."""
        given = False
        for name, value in raw:
            if name == b"authorization":
                if given:
                    self.twice = "Authorization"
                given = True
                scheme, _, credentials = value.partition(b" ")
                if scheme.lower() == b"bearer":
                    self.key = credentials.strip().decode("latin-1")
            elif name == b"x-api-key":
                self.key = self.key or value.strip().decode("latin-1")
            elif name == b"sec-websocket-protocol":
                for protocol in value.decode("latin-1").split(","):
                    if protocol.strip().startswith(KEY_PROTOCOL):
                        self.key = self.key or protocol.strip().removeprefix(KEY_PROTOCOL)
                    elif protocol.strip().startswith(TICKET_PROTOCOL):
                        self.ticket = protocol.strip().removeprefix(TICKET_PROTOCOL)
            elif name == b"x-request-id":
                self.request_id = value.decode() if _SANE_ID.match(value) else None
            elif name == b"content-length":
                self.content_length = int(value) if value.isdigit() and len(value) < 20 else 0
            elif name == b"x-forwarded-for":
                self.forwarded += ("," if self.forwarded else "") + value.decode("latin-1")
            elif name == b"x-forwarded-proto":
                self.forwarded_https = value.strip().lower() == b"https"
            elif name == b"expect":
                self.expects = True
            elif name == b"origin":
                self.origin = value.decode("latin-1")
            elif name == b"cookie":
                self.cookies += b";" + value
            elif name == b"sec-fetch-site":
                self.site = value.decode("latin-1")
            elif name == b"host":
                if self.host:
                    self.twice = "Host"
                self.host = value.decode("latin-1")

    def cookie(self, name: str) -> str | None:
        """The cookie of this name."""
        for one in self.cookies.decode("latin-1").split(";") if self.cookies else ():
            found, equals, value = one.strip().partition("=")
            if equals and found == name:
                return value
        return None


class _ResponseHeaders:
    """Adds the headers that every response carries."""

    __slots__ = ("_limiter", "_request_id", "_secure", "_send", "headers", "started", "status")

    def __init__(self, send: Send, request_id: str, limiter: RequestLimiter, *, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self._limiter = limiter
        self._request_id = request_id.encode()
        self.started = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.started = True
            headers = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            headers.append((b"x-request-id", self._request_id))
            headers += [pair for pair in _SECURITY if pair[0] not in names]
            headers += [pair for pair in (_POLICY, _NO_STORE) if pair[0] not in names]
            if self._secure and _HTTPS_ONLY[0] not in names:
                headers.append(_HTTPS_ONLY)
            await self._limiter.settle()
            if self._limiter.left and b"ratelimit" not in names:
                headers += headers_of(self._limiter.left)
            message["headers"] = self.headers = headers
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.started = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
        elif kind == "websocket.close" and not self.started:
            raise Problem("not-found", "There is no stream at this path.")  # the router's way to say so
        await self._send(message)
