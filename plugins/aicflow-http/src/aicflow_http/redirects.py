"""Where a redirect leads, and what goes along."""

from __future__ import annotations

from dataclasses import dataclass, replace

import httpx2
from aicflow import PermanentError

from aicflow_http.exchange import Reply
from aicflow_http.masking import HARMLESS_HEADERS, shown_url
from aicflow_http.outgoing import Outgoing, parse_url

__all__ = ["Hop", "redirected", "same_party", "stripped"]

_BODY_HEADERS = ("content-type", "content-language", "content-encoding")


@dataclass(frozen=True, slots=True)
class Hop:
    """A request and whether it still goes to the party that it was written for. Credentials go only there."""

    request: Outgoing
    trusted: bool


def same_party(first: httpx2.URL, other: httpx2.URL) -> bool:
    """Same scheme, host and port; or the same host by https on the usual ports after http."""
    if first.host.lower() != other.host.lower():
        return False
    if (first.scheme, _port(first)) == (other.scheme, _port(other)):
        return True
    return (first.scheme, _port(first)) == ("http", 80) and (other.scheme, _port(other)) == ("https", 443)


def redirected(first: httpx2.URL, hop: Hop, reply: Reply) -> Hop:
    """The next request. Raises PermanentError for a place that cannot be gone to."""
    request = hop.request
    location = reply.headers["location"]
    try:
        target = parse_url(str(request.url.join(location)))
    except (PermanentError, httpx2.InvalidURL, ValueError):
        raise PermanentError(
            f"{shown_url(request.url, query=False)} redirects to a place that cannot be gone to: {location[:100]!r}.",
            code="http-redirect",
            hint="Set redirects.follow to false to look at the response itself.",
        ) from None
    trusted = hop.trusted and same_party(first, target)
    method, content, headers = request.method, request.content, request.headers.copy()
    if (reply.status == 303 and method != "HEAD") or (reply.status in (301, 302) and method == "POST"):
        method, content = "GET", None
        for name in _BODY_HEADERS:
            headers.pop(name, None)
    if content and not trusted and request.url.scheme == "https" and target.scheme == "http":
        raise PermanentError(
            f"{shown_url(request.url, query=False)} redirects the body of a {method} from https to http.",
            code="http-redirect",
            hint="Ask for the new address directly if it is meant.",
        )
    onward = Outgoing(method, target, headers, content, request.json_value)
    return Hop(onward if trusted else stripped(onward), trusted)


def stripped(request: Outgoing) -> Outgoing:
    """The request for a stranger: without any header that might hold a secret."""
    kept = [(key, value) for key, value in request.headers.raw if key.decode("ascii").lower() in HARMLESS_HEADERS]
    return replace(request, headers=httpx2.Headers(kept))


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
