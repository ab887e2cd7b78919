"""The request that is to be sent: a URL, headers and bytes built from params, and credentials put on it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from mimetypes import guess_type
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
from aicflow import Context, File, Files, PermanentError, cut
from aicflow.net import is_host

from aicflow_http.params import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    Body,
    FormBody,
    HmacAuth,
    HttpRequestParams,
    JsonBody,
    MultipartBody,
    OAuth2ClientCredentials,
    Part,
    is_secret_header,
)

_BYTES = "application/octet-stream"
USER_AGENT = "aicflow-http/0.1"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body with files in it, which are read while they are sent: anew each time."""

    parts: tuple[bytes | File, ...]
    files: Files

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                async for piece in self.files.read(part):
                    yield piece


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request. `content` None sends no body; `json_value` is kept where pagination may have to change it."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    content: bytes | Streamed | None = None
    json_value: Any = None


@lru_cache(maxsize=128)
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
        found = f", not {cut(url.scheme, 20)!r}" if url.scheme else ""
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


def shown_url(url: httpx2.URL) -> str:
    """The URL for messages: without its query. User and fragment were refused or dropped before."""
    return str(url).partition("?")[0]


def build(params: HttpRequestParams, ctx: Context) -> Outgoing:
    """The first request of a step. Raises PermanentError for a URL, header or body that cannot be sent."""
    url = with_query(parse_url(params.url), _repeated(params.query))
    headers = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": USER_AGENT}
    content, content_type, json_value = _encode(params.body, ctx)
    if content_type is not None:
        headers["content-type"] = content_type
    if params.idempotency_header is not None:
        headers[params.idempotency_header.lower()] = ctx.idempotency_key
    if ctx.traceparent is not None:
        headers["traceparent"] = _child_span(ctx, ctx.traceparent)
    written = [
        (name.encode("ascii"), header_bytes(value, f"/headers/{name}")) for name, value in _repeated(params.headers)
    ]
    ours = {name: value.encode("ascii") for name, value in headers.items()}
    for name, _ in written:
        ours.pop(name.decode("ascii").lower(), None)
    raw = [*((name.encode("ascii"), value) for name, value in ours.items()), *written]
    return Outgoing(params.method, url, httpx2.Headers(raw), content, json_value)


def _child_span(ctx: Context, parent: str) -> str:
    """The W3C trace context for the requests of this attempt: same trace and flags, a span of their own. The span's id
    follows from the attempt, so that an observer can make a span with it."""
    _, trace, _, flags = parent.split("-")
    span = hashlib.sha256(f"{ctx.idempotency_key}:{ctx.attempt}".encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-{int(flags, 16) & 0b11:02x}"


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


def _encode(body: Body | None, ctx: Context) -> tuple[bytes | Streamed | None, str | None, Any]:
    """The body's bytes, its content type, and the JSON value behind it."""
    if body is None:
        return None, None, None
    if isinstance(body, JsonBody):
        return json_bytes(body.value), "application/json", body.value
    if isinstance(body, FormBody):
        pairs = [(name, _text(value)) for name, value in _repeated(body.fields)]
        return urlencode(pairs).encode("ascii"), "application/x-www-form-urlencoded", None
    if isinstance(body, MultipartBody) and any(part.file is not None for part in body.parts):
        return _multipart(body, ctx)
    if isinstance(body, MultipartBody):
        files = [(part.name, _part(part, index)) for index, part in enumerate(body.parts)]
        request = httpx2.Request("POST", "http://multipart.invalid/", files=files)
        return request.read(), request.headers["content-type"], None
    if body.text is not None:
        return body.text.encode("utf-8", "replace"), body.content_type or "text/plain; charset=utf-8", None
    if body.file is not None:
        return Streamed((body.file,), ctx.files), body.content_type or body.file.type or _BYTES, None
    content = _from_base64(body.base64 or "", "/body/base64")
    return content, body.content_type or _BYTES, None


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


def _multipart(body: MultipartBody, ctx: Context) -> tuple[Streamed, str, None]:
    """Parts of which some are files, as httpx2 writes those that are not."""
    boundary = secrets.token_hex(16)
    written: list[bytes | File] = []
    for index, part in enumerate(body.parts):
        filename = part.filename if part.file is None else part.filename or part.file.name or "file"
        content_type = part.content_type or (part.file.type or _BYTES if part.file else None)
        if content_type is None and filename is not None:
            content_type = guess_type(filename)[0] or _BYTES
        head = f'Content-Disposition: form-data; name="{_quotable(part.name)}"'
        head += f'; filename="{_quotable(filename)}"' if filename is not None else ""
        head += f"\r\nContent-Type: {content_type}" if content_type is not None else ""
        written.append(f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "replace"))
        written.append(part.file if part.file is not None else _part(part, index)[1])
        if content_type is not None:
            header_bytes(content_type, f"/body/parts/{index}/content_type")
        written.append(b"\r\n")
    written.append(f"--{boundary}--\r\n".encode())
    return Streamed(tuple(written), ctx.files), f"multipart/form-data; boundary={boundary}", None


def _quotable(text: str) -> str:
    """A name between quotation marks, as HTML's form encoding says."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


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


def authorized(request: Outgoing, auth: Auth, *, now: float, idempotency_key: str) -> Outgoing:
    """The request with the credentials on it. `now`: seconds since 1970 UTC. Raises PermanentError."""
    match auth:
        case BasicAuth(username=username, password=password):
            if ":" in username:
                raise PermanentError("A user name cannot hold a colon.", code="http-auth", pointer="/auth/username")
            return with_header(
                request, "Authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
            )
        case BearerAuth(token=token, scheme=scheme):
            return with_header(request, "Authorization", f"{scheme} {token}", "/auth/token")
        case ApiKeyAuth(name=name, value=value, location="query"):
            return replace(request, url=with_query(request.url, [(name, value)], replace=True))
        case ApiKeyAuth(name=name, value=value):
            return with_header(request, name, value, "/auth/value")
        case HmacAuth():
            return _signed(request, auth, str(int(now)), idempotency_key)
    return request


def with_header(request: Outgoing, name: str, value: str, pointer: str = "/auth") -> Outgoing:
    """The request with one header set."""
    headers = request.headers.copy()
    if name in headers:
        del headers[name]
    raw = [*headers.raw, (name.encode("ascii", "replace"), header_bytes(value, pointer))]
    return replace(request, headers=httpx2.Headers(raw))


def _signed(request: Outgoing, auth: HmacAuth, timestamp: str, idempotency_key: str) -> Outgoing:
    body = request.content or b""
    digest_of_body = ""
    if isinstance(body, Streamed):
        whole = body.parts[0] if len(body.parts) == 1 else None
        if "body" in auth.parts or ("body_sha256" in auth.parts and not isinstance(whole, File)):
            raise PermanentError(
                "A body with files in it is not read before it is sent, so it cannot be signed.",
                code="http-auth",
                pointer="/auth/parts",
                hint="Of a raw body that is a file, 'body_sha256' can be signed.",
            )
        digest_of_body, body = whole.sha256 if isinstance(whole, File) else "", b""
    values = {
        "id": idempotency_key.encode(),
        "timestamp": timestamp.encode(),
        "method": request.method.encode(),
        "host": request.url.netloc,
        "path": request.url.raw_path.partition(b"?")[0],
        "query": request.url.query,
        "path_and_query": request.url.raw_path,
        "body": body,
        "body_sha256": (digest_of_body or hashlib.sha256(body).hexdigest()).encode(),
        "key_id": (auth.key_id or "").encode(),
    }
    signed = auth.signed_prefix.encode() + auth.separator.encode().join(values[part] for part in auth.parts)
    digest = hmac.new(_key(auth), signed, auth.algorithm).digest()
    signature = digest.hex() if auth.encoding == "hex" else base64.b64encode(digest).decode()
    request = with_header(request, auth.header, auth.prefix + signature)
    if auth.timestamp_header and "timestamp" in auth.parts:
        request = with_header(request, auth.timestamp_header, timestamp)
    if auth.id_header:
        request = with_header(request, auth.id_header, idempotency_key)
    if auth.key_id_header and auth.key_id is not None:
        request = with_header(request, auth.key_id_header, auth.key_id, "/auth/key_id")
    return request


def _key(auth: HmacAuth) -> bytes:
    try:
        match auth.secret_encoding:
            case "base64":
                return base64.b64decode(auth.secret.removeprefix("whsec_"), validate=True)
            case "hex":
                return bytes.fromhex(auth.secret)
            case "text":
                return auth.secret.encode()
    except (binascii.Error, ValueError):
        raise PermanentError(
            f"The signing secret is not {auth.secret_encoding}.", code="http-auth", pointer="/auth/secret"
        ) from None


def credentials_of(params: HttpRequestParams) -> Iterator[str]:
    """Every text of the params that is a credential, as it is written and as it is sent."""
    for name, value in params.headers.items():
        if is_secret_header(name):
            for text in value if isinstance(value, list) else [value]:
                yield from {text, text.rpartition(" ")[2]}  # the token in "Bearer token"
    yield from params.cookies.values()
    match params.auth:
        case BasicAuth(username=name, password=secret):
            yield from (secret, base64.b64encode(f"{name}:{secret}".encode()).decode())
        case BearerAuth(token=secret) | ApiKeyAuth(value=secret) | HmacAuth(secret=secret):
            yield secret
        case OAuth2ClientCredentials(client_id=name, client_secret=secret):
            yield from (secret, base64.b64encode(f"{name}:{secret}".encode()).decode())
    if params.tls is not None:
        yield from filter(None, (params.tls.client_key, params.tls.client_key_password))
    if params.proxy is not None:
        try:
            yield httpx2.URL(params.proxy).password
        except httpx2.InvalidURL:
            yield params.proxy
