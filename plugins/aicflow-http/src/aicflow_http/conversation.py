"""From a request to its final response: credentials, cookies, redirects, and a token that has expired on the way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
from aicflow import AICFlowError, Context, NodeError, PermanentError, TransientError
from aicflow.net import Guard, HttpSettings, ProxyChoice, read_proxy

from aicflow_http.auth import OAuth2ClientCredentials
from aicflow_http.clients import Clients
from aicflow_http.exchange import Reply, exchange
from aicflow_http.masking import Mask, credentials_of, shown_url
from aicflow_http.outgoing import Outgoing
from aicflow_http.params import HttpRequestParams, Tls
from aicflow_http.redirects import Hop, redirected, same_party, stripped
from aicflow_http.signing import authorized, bearing
from aicflow_http.tokens import Token, Tokens

__all__ = ["Conversation", "Shared"]

_TOKEN_BYTES = 1_000_000


class Shared:
    """What all steps of a process share: pools, tokens, the guard and the operator's settings."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.guard = Guard(settings.allow, settings.resolver)
        self.clients = Clients(self.guard)
        self.tokens = Tokens()


class Conversation:
    """The requests of one step. Cookies that servers set are kept for its length and no longer."""

    def __init__(self, shared: Shared, params: HttpRequestParams, ctx: Context) -> None:
        self._shared = shared
        self._params = params
        self._ctx = ctx
        self._jar = httpx2.Cookies()
        self._first: httpx2.URL | None = None
        self.mask = Mask(credentials_of(params))
        self.redirects = 0

    async def ask(self, request: Outgoing, *, most: int) -> Reply:
        """Send a request and follow where it leads. `most`: bytes of the response that are kept. Raises NodeError, in
        which no credential is left."""
        if self._first is None:
            self._first = request.url
        trusted = same_party(self._first, request.url)
        if not trusted:  # a next page elsewhere
            request = stripped(request)
        deadline = asyncio.get_running_loop().time() + self._params.timeouts.total
        try:
            return await self._follow(Hop(request, trusted), most, deadline)
        except NodeError as error:
            raise self.masked(error) from None

    def masked(self, error: NodeError) -> NodeError:
        """The error without credentials in its message."""
        message = self.mask.text(error.message)
        if message == error.message:
            return error
        more: dict[str, Any] = {key: getattr(error, key) for key in ("code", "hint", "pointer", "details")}
        if isinstance(error, TransientError):
            return TransientError(message, retry_after=error.retry_after, **more)
        return PermanentError(message, **more)

    async def _follow(self, hop: Hop, most: int, deadline: float) -> Reply:
        rules = self._params.redirects
        followed = 0
        while True:
            reply = await self._send(hop, most, deadline)
            if not (rules.follow and reply.is_redirect):
                return reply
            if followed == rules.max:
                raise PermanentError(
                    f"More than {rules.max} redirects, the last one from {shown_url(hop.request.url, query=False)}.",
                    code="http-redirect",
                    hint="Raise redirects.max if it is not a loop.",
                )
            followed += 1
            self.redirects += 1
            assert self._first is not None
            hop = redirected(self._first, hop, reply)

    async def _send(self, hop: Hop, most: int, deadline: float) -> Reply:
        """One hop, and once more with a new token when the old one is refused."""
        auth = self._params.auth
        if not (hop.trusted and isinstance(auth, OAuth2ClientCredentials)):
            signed = hop.request
            if hop.trusted:
                signed = authorized(signed, auth, now=time.time(), idempotency_key=self._ctx.idempotency_key)
            return await self._exchange(_with_cookies(signed, self._cookies(hop)), hop.trusted, most, deadline)
        token = await self._token(auth, deadline)
        reply = await self._exchange(self._with_token(hop, token), True, most, deadline)
        if reply.status != 401:
            return reply
        token = await self._token(auth, deadline, instead_of=token)
        return await self._exchange(self._with_token(hop, token), True, most, deadline)

    def _with_token(self, hop: Hop, token: Token) -> Outgoing:
        self.mask.add(token.value)
        self._ctx.mask(token.value)
        signed = bearing(hop.request, "Authorization", f"{token.scheme} {token.value}")
        return _with_cookies(signed, self._cookies(hop))

    async def _token(self, auth: OAuth2ClientCredentials, deadline: float, instead_of: Token | None = None) -> Token:
        async def send(request: Outgoing) -> Reply:
            return await self._exchange(request, True, _TOKEN_BYTES, deadline)

        tls = self._params.tls
        realm = tls.client_cert or "" if tls else ""
        return await self._shared.tokens.get(auth, send, realm=realm, now=time.monotonic(), instead_of=instead_of)

    async def _exchange(self, request: Outgoing, trusted: bool, most: int, deadline: float) -> Reply:
        proxy = self._proxy(request.url)
        if proxy is not None:
            port = request.url.port or (443 if request.url.scheme == "https" else 80)
            await self._shared.guard.check_behind_proxy(request.url.raw_host.decode("ascii"), port)
        tls = self._params.tls if trusted else _without_client(self._params.tls)
        async with self._shared.clients.pool(tls, proxy) as pool:
            reply = await exchange(pool, request, self._params, most=most, deadline=deadline)
        lines = [line for line in reply.headers.get_list("set-cookie") if line.isascii()]
        if lines:  # others could not be sent back
            given = httpx2.Response(
                reply.status,
                headers=[("set-cookie", line) for line in lines],
                request=httpx2.Request(request.method, request.url),
            )
            self._jar.extract_cookies(given)
        return reply

    def _proxy(self, url: httpx2.URL) -> ProxyChoice | None:
        wanted, settings = self._params.proxy, self._shared.settings
        if wanted is None:
            found = settings.proxy_for(url)
            return None if found is None else ProxyChoice(found, operators=True)
        if settings.proxy is not None:
            raise PermanentError(
                "The operator has set the proxy for all requests.",
                code="http-proxy",
                pointer="/proxy",
                hint="Remove 'proxy'.",
            )
        try:
            read_proxy(wanted, "The param 'proxy'")
        except AICFlowError as error:
            raise PermanentError(error.message, code="http-proxy", pointer="/proxy", hint=error.hint) from None
        return ProxyChoice(wanted, operators=False)

    def _cookies(self, hop: Hop) -> str:
        """The Cookie header: what the jar holds for this URL, and the step's own cookies where they belong."""
        pairs: list[str] = []
        if self._jar:
            request = httpx2.Request(hop.request.method, hop.request.url)
            self._jar.set_cookie_header(request)
            pairs.append(request.headers.get("cookie", ""))
        if hop.trusted:
            own = self._params.cookies.items()
            pairs = [hop.request.headers.get("cookie", ""), *(f"{name}={value}" for name, value in own), *pairs]
        return "; ".join(pair for pair in pairs if pair)


def _with_cookies(request: Outgoing, cookies: str) -> Outgoing:
    return bearing(request, "Cookie", cookies, "/cookies") if cookies else request


def _without_client(tls: Tls | None) -> Tls | None:
    """The TLS configuration for a stranger: the same trust, no proof of who we are."""
    if tls is None or tls.client_cert is None:
        return tls
    return Tls(ca=tls.ca, verify=tls.verify)
