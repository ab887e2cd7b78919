"""From the params of http.request to a curl command line that holds no credential."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from aicflow_http.params import is_secret_header


def to_curl(params: Mapping[str, Any]) -> str:
    """The command line for a step's params, written or resolved. Credentials become shell variables such as
    "$HTTP_TOKEN", to be set before the line is run; lines that begin with # say what curl cannot do by itself."""
    notes: list[str] = []
    words = ["curl", *_method(params), _quoted(_url(params))]
    words += [*_headers(params), *_cookies(params), *_auth(params, notes), *_body(params, notes)]
    words += [*_tls(params, notes), *_settings(params)]
    if params.get("pagination"):
        notes.append("Only the first page is asked for.")
    return "".join(f"# {note}\n" for note in notes) + " \\\n  ".join(_lines(words))


def _lines(words: list[str]) -> Iterator[str]:
    """An option and its value on one line."""
    line: list[str] = []
    for word in words:
        if word.startswith("-") and line:
            yield " ".join(line)
            line = []
        line.append(word)
    yield " ".join(line)


def _quoted(text: Any) -> str:
    return shlex.quote(str(text))


def _variable(before: str, name: str) -> str:
    """Text and a shell variable, in double quotes."""
    plain = re.sub(r'([\\"$`])', r"\\\1", before)
    return f'"{plain}${re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET"}"'


def _method(params: Mapping[str, Any]) -> list[str]:
    method = str(params.get("method", "GET")).upper()
    if method == "HEAD":
        return ["--head"]
    return [] if method == "GET" and not params.get("body") else ["--request", _quoted(method)]


def _pairs(mapping: Any) -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items() if isinstance(mapping, Mapping) else ():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield str(name), "true" if item is True else "false" if item is False else item


def _url(params: Mapping[str, Any]) -> str:
    url = str(params.get("url", "")).partition("#")[0]
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if separator and "@" in authority and "${{" not in authority:
        url = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    query = urlencode(list(_pairs(params.get("query"))), quote_via=quote, safe="${}. ")
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _headers(params: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _pairs(params.get("headers")):
        yield "--header"
        yield _variable(f"{name}: ", name) if is_secret_header(name) else _quoted(f"{name}: {value}")
    if params.get("idempotency_header"):
        yield "--header"
        yield _variable(f"{params['idempotency_header']}: ", "IDEMPOTENCY_KEY")


def _cookies(params: Mapping[str, Any]) -> Iterator[str]:
    for name, _ in _pairs(params.get("cookies")):
        yield "--cookie"
        yield _variable(f"{name}=", f"COOKIE_{name}")


def _auth(params: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    auth = params.get("auth")
    kind = auth.get("type") if isinstance(auth, Mapping) else None
    if not isinstance(auth, Mapping) or kind in (None, "none"):
        return
    if kind == "basic":
        yield from ("--user", _variable(f"{auth.get('username', '')}:", "HTTP_PASSWORD"))
    elif kind == "bearer":
        yield from ("--header", _variable(f"Authorization: {auth.get('scheme', 'Bearer')} ", "HTTP_TOKEN"))
    elif kind == "api_key" and auth.get("location") == "query":
        yield from ("--url-query", _variable(f"{auth.get('name', 'X-API-Key')}=", "API_KEY"))
    elif kind == "api_key":
        yield from ("--header", _variable(f"{auth.get('name', 'X-API-Key')}: ", "API_KEY"))
    elif kind == "oauth2_client_credentials":
        notes.append(f"ACCESS_TOKEN comes from {auth.get('token_url', 'the token endpoint')} (client credentials).")
        yield from ("--header", _variable("Authorization: Bearer ", "ACCESS_TOKEN"))
    elif kind == "hmac":
        notes.append(f"SIGNATURE is an HMAC over {', '.join(auth.get('parts', ['timestamp', 'body']))}.")
        yield from ("--header", _variable(f"{auth.get('header', 'X-Signature')}: ", "SIGNATURE"))


def _body(params: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    body = params.get("body")
    if not isinstance(body, Mapping):
        return
    typed = any(name.lower() == "content-type" for name, _ in _pairs(params.get("headers")))
    kind = body.get("type")
    if kind == "json":
        if not typed:
            yield from ("--header", _quoted("Content-Type: application/json"))
        yield from ("--data-raw", _quoted(json.dumps(body.get("value"), ensure_ascii=False)))
    elif kind == "form":
        for name, value in _pairs(body.get("fields")):
            yield from ("--data-urlencode", _quoted(f"{quote_plus(name)}={value}"))
    elif kind == "multipart":
        for part in body.get("parts", []):
            yield from _part(part, notes)
    elif kind == "raw":
        default = "text/plain; charset=utf-8" if body.get("text") is not None else "application/octet-stream"
        if not typed:
            yield from ("--header", _quoted(f"Content-Type: {body.get('content_type') or default}"))
        if body.get("text") is not None:
            yield from ("--data-raw", _quoted(body["text"]))
        else:
            notes.append("body.bin holds the body's bytes.")
            yield from ("--data-binary", "@body.bin")


def _part(part: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    name, filename = part.get("name", ""), part.get("filename")
    media = f";type={part['content_type']}" if part.get("content_type") else ""
    if filename is None and part.get("text") is not None and not media:
        yield from ("--form-string", _quoted(f"{name}={part['text']}"))
        return
    path = filename or f"{name}.bin"
    notes.append(f"The file {path} holds the part {name!r}.")
    sign = "@" if filename or part.get("file") is not None else "<"
    yield from ("--form", _quoted(f"{name}={sign}{path}{media}"))


def _tls(params: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    tls = params.get("tls")
    if not isinstance(tls, Mapping):
        return
    for key, option in (("ca", "--cacert"), ("client_cert", "--cert"), ("client_key", "--key")):
        if tls.get(key):
            notes.append(f"{key}.pem holds tls.{key}.")
            yield from (option, f"{key}.pem")
    if tls.get("client_key_password"):
        yield from ("--pass", _variable("", "CLIENT_KEY_PASSWORD"))
    if tls.get("verify") is False:
        yield "--insecure"


def _settings(params: Mapping[str, Any]) -> Iterator[str]:
    redirects, timeouts = params.get("redirects"), params.get("timeouts")
    follow = redirects if isinstance(redirects, Mapping) else {}
    if follow.get("follow", True):
        yield from ("--location", "--max-redirs", _quoted(follow.get("max", 10)))
    limits = timeouts if isinstance(timeouts, Mapping) else {}
    for key, option in (("connect", "--connect-timeout"), ("total", "--max-time")):
        if key in limits:
            yield from (option, _quoted(limits[key]))
    if params.get("proxy"):
        yield from ("--proxy", _variable("", "HTTP_PROXY_URL"))
