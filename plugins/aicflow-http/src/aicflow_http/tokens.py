"""OAuth2 client credentials: fetching tokens, keeping them until they expire, one fetch at a time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode
from weakref import WeakValueDictionary

import httpx2
from aicflow import NodeError, PermanentError, TransientError
from aicflow.net import retry_after
from pydantic_core import from_json

from aicflow_http.params import OAuth2ClientCredentials
from aicflow_http.requests import USER_AGENT, Outgoing, parse_url
from aicflow_http.responses import Reply

_MOST_KEPT = 1000
_DEFAULT_LIFETIME = 300.0  # seconds a token is kept when its lifetime is unknown

type Send = Callable[[Outgoing], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Token:
    """A token and until when (monotonic seconds) it may be used."""

    value: str
    scheme: str
    fresh_until: float


class Tokens:
    """The tokens of one process. Steps with the same credentials share one; credentials are kept as a digest only."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Token] = OrderedDict()
        self._fetching: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def get(
        self, auth: OAuth2ClientCredentials, send: Send, *, realm: str, now: float, instead_of: Token | None = None
    ) -> Token:
        """A fresh token. `instead_of`: one that the API has just refused. `realm`: what else tells callers apart, such
        as a client certificate. Raises NodeError."""
        key = _key(auth, realm)
        async with self._fetching.setdefault(key, asyncio.Lock()):  # one fetch at a time for one key
            token = self._kept.get(key)
            if token is not None and token is not instead_of and token.fresh_until > now:
                self._kept.move_to_end(key)
                return token
            token = _read(await send(_token_request(auth)), now)
            self._kept[key] = token
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return token


def _key(auth: OAuth2ClientCredentials, realm: str) -> bytes:
    return hashlib.sha256(f"{len(realm)}:{realm}{auth.model_dump_json()}".encode("utf-8", "surrogatepass")).digest()


def _token_request(auth: OAuth2ClientCredentials) -> Outgoing:
    fields = {"grant_type": "client_credentials", **auth.extra}
    if auth.scope is not None:
        fields["scope"] = auth.scope
    if auth.audience is not None:
        fields["audience"] = auth.audience
    headers = {
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": USER_AGENT,
    }
    if auth.credentials_in == "body":
        fields |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
    else:  # RFC 6749, 2.3.1: form-encoded before they become user name and password
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    url = parse_url(auth.token_url, "/auth/token_url")
    return Outgoing("POST", url, httpx2.Headers(headers), urlencode(fields).encode())


def _read(reply: Reply, now: float) -> Token:
    if reply.status != 200:
        raise _refused(reply, now)
    fields = _object(reply)
    value, scheme = fields.get("access_token"), fields.get("token_type") or "Bearer"
    if not isinstance(value, str) or not value or not isinstance(scheme, str):
        raise PermanentError(
            "The token endpoint's response holds no access_token.", code="http-auth", pointer="/auth/token_url"
        )
    try:
        lifetime = float(str(fields.get("expires_in", _DEFAULT_LIFETIME)))
    except ValueError:
        lifetime = _DEFAULT_LIFETIME
    if not math.isfinite(lifetime):
        lifetime = _DEFAULT_LIFETIME
    # A tenth of its life early, at most half a minute, so that it does not expire on its way.
    fresh = now + lifetime - min(30.0, lifetime / 10)
    return Token(value, "Bearer" if scheme.lower() == "bearer" else scheme, fresh)


def _refused(reply: Reply, now: float) -> NodeError:
    word = _object(reply).get("error")
    reason = f": {word}" if isinstance(word, str) and word.isascii() and len(word) < 100 else ""
    message = f"The token endpoint answered {reply.status}{reason}."
    if reply.status in (408, 425, 429) or reply.status >= 500:
        return TransientError(message, code="http-auth", retry_after=retry_after(reply.headers, now))
    hint = "Check client_id, client_secret and 'credentials_in'." if reply.status in (400, 401) else None
    return PermanentError(message, code="http-auth", pointer="/auth", hint=hint)


def _object(reply: Reply) -> dict[str, object]:
    try:
        fields = from_json(reply.content, allow_inf_nan=False)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
