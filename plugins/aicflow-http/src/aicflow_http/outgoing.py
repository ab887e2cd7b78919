"""The request that is to be sent: a URL, headers and bytes, built from params."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
from aicflow import PermanentError
from aicflow.net import is_host

from aicflow_http.bodies import Body, FormBody, JsonBody, MultipartBody, Part
from aicflow_http.params import HttpRequestParams

__all__ = ["Outgoing", "build", "parse_url", "with_query"]

USER_AGENT = "aicflow-http/0.1"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request. `content` None sends no body; `json_value` is kept where pagination may have to change it."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    content: bytes | None = None
    json_value: Any = None


def parse_url(text: str, pointer: str = "/url") -> httpx2.URL:
    """The URL, checked. Raises PermanentError with the pointer."""
    try:
        url = httpx2.URL(text.strip())
        host = url.raw_host.decode("ascii")
        port = url.port
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        reason = str(error).rstrip(".") if isinstance(error, httpx2.InvalidURL) else "its host cannot be read"
        raise _bad_url(pointer, f"The URL cannot be read: {reason}.") from None
    if url.scheme not in ("http", "https"):
        found = f", not {url.scheme[:20]!r}" if url.scheme else ""
        raise _bad_url(pointer, f"The URL must start with http:// or https://{found}.")
    if not host:
        raise _bad_url(pointer, "The URL has no host.")
    if not is_host(url):
        raise _bad_url(pointer, "The URL's host holds characters that no host name has.")
    if url.username or url.password:
        raise _bad_url(pointer, "The URL holds a user name or password.", hint="Put them in 'auth', type basic.")
    if port is not None and not 0 < port < 65536:
        raise _bad_url(pointer, "The URL's port is not between 1 and 65535.")
    # A final dot means the same host, but not the same certificate, cookie domain or allow-list entry.
    if host.endswith("."):
        url = url.copy_with(host=host.removesuffix("."))
    return url.copy_with(fragment=None) if url.fragment else url


def _bad_url(pointer: str, message: str, hint: str | None = None) -> PermanentError:
    return PermanentError(message, code="http-url", pointer=pointer, hint=hint)


def with_query(url: httpx2.URL, items: Iterable[tuple[str, Any]], *, replace: bool = False) -> httpx2.URL:
    """The URL with more query parameters; `replace` drops those of the same name that it has."""
    pairs = [(name, _text(value)) for name, value in items]
    if not pairs:
        return url
    kept = url.query.decode("ascii")
    if replace and kept:
        names = {quote(name, safe="") for name, _ in pairs} | {name for name, _ in pairs}
        kept = "&".join(part for part in kept.split("&") if part.partition("=")[0] not in names)
    added = urlencode(pairs, quote_via=quote)
    return url.copy_with(query=f"{kept}&{added}".strip("&").encode("ascii"))


def build(params: HttpRequestParams, idempotency_key: str, traceparent: str | None = None) -> Outgoing:
    """The first request of a step. Raises PermanentError for a URL, header or body that cannot be sent."""
    url = with_query(parse_url(params.url), _repeated(params.query))
    headers = httpx2.Headers({"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": USER_AGENT})
    content, content_type, json_value = _encode(params.body)
    if content_type is not None:
        headers["content-type"] = content_type
    pairs = _repeated(params.headers)
    for name in {name.lower() for name, _ in pairs} & set(headers.keys()):
        del headers[name]
    raw = headers.raw + [(name.encode("ascii"), header_bytes(value, f"/headers/{name}")) for name, value in pairs]
    headers = httpx2.Headers(raw)
    if params.idempotency_header is not None and params.idempotency_header not in headers:
        headers[params.idempotency_header] = idempotency_key
    if traceparent is not None and "traceparent" not in headers:
        headers["traceparent"] = traceparent
    return Outgoing(params.method, url, headers, content, json_value)


def header_bytes(value: str, pointer: str) -> bytes:
    """A header value as bytes. Raises PermanentError that never shows the value."""
    if _CONTROL.search(value):
        raise PermanentError(
            "The header value holds a line break or control character.", code="http-header", pointer=pointer
        )
    return value.strip().encode("utf-8", "surrogatepass")


def _repeated(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in mapping.items():
        if isinstance(value, list):
            pairs.extend((name, item) for item in value)
        elif value is not None:
            pairs.append((name, value))
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _encode(body: Body | None) -> tuple[bytes | None, str | None, Any]:
    """The body's bytes, its content type, and the JSON value behind it."""
    if body is None:
        return None, None, None
    if isinstance(body, JsonBody):
        return json_bytes(body.value), "application/json", body.value
    if isinstance(body, FormBody):
        pairs = [(name, _text(value)) for name, value in _repeated(body.fields)]
        return urlencode(pairs).encode("ascii"), "application/x-www-form-urlencoded", None
    if isinstance(body, MultipartBody):
        files = [(part.name, _part(part, index)) for index, part in enumerate(body.parts)]
        request = httpx2.Request("POST", "http://multipart.invalid/", files=files)
        return request.read(), request.headers["content-type"], None
    if body.text is not None:
        return body.text.encode("utf-8", "replace"), body.content_type or "text/plain; charset=utf-8", None
    content = _from_base64(body.base64 or "", "/body/base64")
    return content, body.content_type or "application/octet-stream", None


def json_bytes(value: Any) -> bytes:
    """The value as JSON text in UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair: only its escape is valid UTF-8
        return json.dumps(value, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError(
            f"The body cannot be written as JSON: {error}.", code="http-body", pointer="/body/value"
        ) from None


def _part(part: Part, index: int) -> tuple[str | None, bytes, str | None]:
    if part.text is not None:
        content = part.text.encode("utf-8", "replace")
    else:
        content = _from_base64(part.base64 or "", f"/body/parts/{index}/base64")
    if part.content_type is not None:
        header_bytes(part.content_type, f"/body/parts/{index}/content_type")
    return part.filename, content, part.content_type


def _from_base64(text: str, pointer: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PermanentError("The text is not base64.", code="http-body", pointer=pointer) from None
