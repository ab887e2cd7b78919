"""Keeping credentials out of everything that people read."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import httpx2

from aicflow_http.auth import ApiKeyAuth, BasicAuth, BearerAuth, HmacAuth, OAuth2ClientCredentials
from aicflow_http.params import HttpRequestParams

__all__ = ["HARMLESS_HEADERS", "Mask", "credentials_of", "shown_url"]

MASKED = "***"
_SHORTEST = 4  # masking shorter texts would riddle messages with stars and protect nothing

# Headers that go along to another origin and are shown: none of them is made to carry a secret.
HARMLESS_HEADERS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "date",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "pragma",
        "prefer",
        "range",
        "user-agent",
    }
)


def credentials_of(params: HttpRequestParams) -> Iterator[str]:
    """Every text of the params that may be a secret."""
    for name, value in params.headers.items():
        if name.lower() not in HARMLESS_HEADERS:
            for text in value if isinstance(value, list) else [value]:
                yield text
                yield text.rpartition(" ")[2]  # the token in "Bearer token"
    yield from params.cookies.values()
    match params.auth:
        case BasicAuth(username=username, password=password):
            yield password
            yield base64.b64encode(f"{username}:{password}".encode()).decode()
        case BearerAuth(token=token):
            yield token
        case ApiKeyAuth(value=value):
            yield value
        case HmacAuth(secret=secret):
            yield secret
        case OAuth2ClientCredentials(client_id=client_id, client_secret=client_secret):
            yield client_secret
            yield base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    if params.tls is not None:
        yield params.tls.client_key or ""
        yield params.tls.client_key_password or ""
    if params.proxy is not None:
        try:
            yield httpx2.URL(params.proxy).password
        except httpx2.InvalidURL:
            yield params.proxy


class Mask:
    """Replaces known secrets in text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """One more secret, such as a token that was just fetched; its percent-encoded forms too."""
        if len(secret) >= _SHORTEST:
            forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
            self._secrets = sorted({*self._secrets, *forms}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            text = text.replace(secret, MASKED)
        return text


def shown_url(url: httpx2.URL, *, query: bool) -> str:
    """The URL for people: without its query, unless asked for. User and fragment were refused or dropped before."""
    return str(url) if query else str(url).partition("?")[0]
