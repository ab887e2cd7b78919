"""Putting credentials on a request: each kind of `auth` except OAuth2's fetching of tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import replace

import httpx2
from aicflow import PermanentError

from aicflow_http.auth import ApiKeyAuth, Auth, BasicAuth, BearerAuth, HmacAuth
from aicflow_http.outgoing import Outgoing, header_bytes, with_query

__all__ = ["authorized"]


def authorized(request: Outgoing, auth: Auth, *, now: float, idempotency_key: str) -> Outgoing:
    """The request with the credentials on it. `now`: seconds since 1970 UTC. Raises PermanentError."""
    match auth:
        case BasicAuth(username=username, password=password):
            if ":" in username:
                raise PermanentError("A user name cannot hold a colon.", code="http-auth", pointer="/auth/username")
            return bearing(
                request, "Authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
            )
        case BearerAuth(token=token, scheme=scheme):
            return bearing(request, "Authorization", f"{scheme} {token}", "/auth/token")
        case ApiKeyAuth(name=name, value=value, location="query"):
            return replace(request, url=with_query(request.url, [(name, value)], replace=True))
        case ApiKeyAuth(name=name, value=value):
            return bearing(request, name, value, "/auth/value")
        case HmacAuth():
            return _signed(request, auth, str(int(now)), idempotency_key)
    return request


def bearing(request: Outgoing, name: str, value: str, pointer: str = "/auth") -> Outgoing:
    """The request with one header set."""
    headers = request.headers.copy()
    if name in headers:
        del headers[name]
    raw = [*headers.raw, (name.encode("ascii", "replace"), header_bytes(value, pointer))]
    return replace(request, headers=httpx2.Headers(raw))


def _signed(request: Outgoing, auth: HmacAuth, timestamp: str, idempotency_key: str) -> Outgoing:
    body = request.content or b""
    values = {
        "id": idempotency_key.encode(),
        "timestamp": timestamp.encode(),
        "method": request.method.encode(),
        "host": request.url.netloc,
        "path": request.url.raw_path.partition(b"?")[0],
        "query": request.url.query,
        "path_and_query": request.url.raw_path,
        "body": body,
        "body_sha256": hashlib.sha256(body).hexdigest().encode(),
        "key_id": (auth.key_id or "").encode(),
    }
    signed = auth.signed_prefix.encode() + auth.separator.encode().join(values[part] for part in auth.parts)
    digest = hmac.new(_key(auth), signed, auth.algorithm).digest()
    signature = digest.hex() if auth.encoding == "hex" else base64.b64encode(digest).decode()
    request = bearing(request, auth.header, auth.prefix + signature)
    if auth.timestamp_header and "timestamp" in auth.parts:
        request = bearing(request, auth.timestamp_header, timestamp)
    if auth.id_header:
        request = bearing(request, auth.id_header, idempotency_key)
    if auth.key_id_header and auth.key_id is not None:
        request = bearing(request, auth.key_id_header, auth.key_id, "/auth/key_id")
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
