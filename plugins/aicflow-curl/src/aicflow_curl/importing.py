"""From a curl command line to the params of http.request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote

from aicflow import PermanentError
from aicflow_http.params import HttpRequestParams
from aicflow_http.requests import parse_url
from pydantic import ValidationError

from aicflow_curl.body import DataPart, body_of, form_part
from aicflow_curl.options import options
from aicflow_curl.secrets import SecretKeeper, escaped, is_secret_header
from aicflow_curl.shell_words import CurlUnreadable, split

__all__ = ["CurlImport", "ReadFile", "from_curl"]

type ReadFile = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class CurlImport:
    """What a command line became. `params` are for a document; `secrets` are the credentials it held, by the names that
    the params refer to: store them, then forget them. `notes` say what could not be carried over exactly."""

    params: dict[str, Any]
    secrets: dict[str, str]
    notes: tuple[str, ...] = ()


def from_curl(command: str, *, inline_secrets: bool = False, read_file: ReadFile | None = None) -> CurlImport:
    """Read a command line. `read_file` returns the content of files that it names; without it they are an error.
    Raises CurlUnreadable (an AICFlowError) that says what cannot be carried over."""
    words = split(command)
    if not words or words[0].rpartition("/")[2] not in ("curl", "curl.exe"):
        raise CurlUnreadable("The command line does not start with curl.")
    reading = _Reading(SecretKeeper(inline_secrets), read_file)
    for name, value in options(words[1:]):
        reading.take(name, value)
    params = reading.finish()
    _check(params)
    return CurlImport(params, reading.secrets.values, tuple(reading.notes))


def _check(params: dict[str, Any]) -> None:
    try:
        HttpRequestParams.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CurlUnreadable(f"The command line makes invalid params: {where}: {first['msg']}.") from None


@dataclass(slots=True)
class _Reading:
    """The options taken so far."""

    secrets: SecretKeeper
    read_file: ReadFile | None
    notes: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    method: str | None = None
    headers: list[tuple[str, str | None]] = field(default_factory=list)
    data: list[DataPart] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    url_query: list[str] = field(default_factory=list)
    get: bool = False
    head: bool = False
    json: bool = False
    user: str | None = None
    bearer: str | None = None
    upload: str | None = None
    tls: dict[str, Any] = field(default_factory=dict)
    timeouts: dict[str, float] = field(default_factory=dict)
    proxy: str | None = None
    proxy_user: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, value: str) -> None:
        """Note one option."""
        match name:
            case "url":
                self.urls.append(value)
            case "request":
                self.method = value
            case "header":
                self._header(value)
            case "data" | "data-ascii" | "data-binary" | "data-raw" | "data-urlencode" | "json":
                self.json = self.json or name == "json"
                self.data.append(self._data(name, value))
            case "form" | "form-string":
                self.parts.append(form_part(value, self._file, literal=name == "form-string"))
            case "url-query":
                self.url_query.append(
                    _urlencoded(value.removeprefix("+"), self._file) if value[:1] != "+" else value[1:]
                )
            case "user-agent" | "referer" | "range":
                shown = {"user-agent": "User-Agent", "referer": "Referer", "range": "Range"}[name]
                self.headers.append((shown, f"bytes={value}" if name == "range" else value))
            case "cookie":
                if "=" not in value:
                    raise CurlUnreadable(
                        "-b names a file of cookies, which is not read.", hint="Write -b 'name=value'."
                    )
                self.headers.append(("Cookie", value))
            case "cacert" | "cert" | "key":
                self._certificate(name, value)
            case "retry":
                attempts = int(_number("--retry", value)) + 1
                self.notes.append(f"--retry belongs to the node, beside params: retry: {{max_attempts: {attempts}}}.")
            case "location-trusted":
                self.notes.append("--location-trusted: credentials are never sent to another host than the first.")
            case _:
                self._setting(name, value)

    def _setting(self, name: str, value: str) -> None:
        match name:
            case "get":
                self.get = True
            case "head":
                self.head = True
            case "user":
                self.user = value
            case "oauth2-bearer":
                self.bearer = value
            case "upload-file":
                self.upload = value
            case "insecure":
                self.tls["verify"] = False
            case "pass":
                self.tls["client_key_password"] = self.secrets.keep("client_key_password", value)
            case "connect-timeout":
                self.timeouts["connect"] = _number("--connect-timeout", value)
            case "max-time":
                self.timeouts["total"] = _number("--max-time", value)
            case "max-redirs":
                self.more["redirects"] = {"max": int(_number("--max-redirs", value, least=-1))}
                if self.more["redirects"]["max"] < 0:
                    self.more["redirects"]["max"] = 50
            case "max-filesize":
                self.more["response"] = {"max_bytes": int(_number("--max-filesize", value))}
            case "proxy":
                self.proxy = value
            case "proxy-user":
                self.proxy_user = value
            case "basic":
                pass
            case _:
                raise AssertionError(f"the option {name} is in the table and not taken")

    def _file(self, name: str) -> bytes:
        if self.read_file is None:
            raise CurlUnreadable(
                f"The command line names the file {name!r}, which cannot be read here.", hint="Give its content."
            )
        try:
            return self.read_file(name)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "the name cannot be"
            raise CurlUnreadable(f"The file {name!r} cannot be read: {why}.") from None

    def _header(self, text: str) -> None:
        if text.startswith("@"):
            raise CurlUnreadable("-H names a file of headers, which is not read.", hint="Write each header out.")
        name, colon, value = text.partition(":")
        if not colon and name.endswith(";"):
            name, value = name[:-1], ""
        elif not colon:
            raise CurlUnreadable(f"The header {name[:40]!r} has no colon.")
        elif not value.strip():
            self.headers.append((name.strip(), None))  # curl leaves out a header that it would have sent
            return
        self.headers.append((name.strip(), value.strip()))

    def _data(self, name: str, value: str) -> DataPart:
        if name == "data-urlencode":
            return DataPart(_urlencoded(value, self._file).encode())
        if name != "data-raw" and value.startswith("@"):
            content = self._file(value[1:])
            if name in ("data", "data-ascii"):
                content = content.replace(b"\r", b"").replace(b"\n", b"")
            return DataPart(content)
        return DataPart(value.encode("utf-8", "replace"))

    def _certificate(self, name: str, value: str) -> None:
        path, _, password = value.partition(":") if name == "cert" else (value, "", "")
        pem = self._file(path).decode("ascii", "replace")
        if name == "cacert":
            self.tls["ca"] = escaped(pem)
            return
        self.tls["client_cert" if name == "cert" else "client_key"] = self.secrets.keep(f"client_{name}", pem)
        if password:
            self.tls["client_key_password"] = self.secrets.keep("client_key_password", password)

    def finish(self) -> dict[str, Any]:
        """The params. Raises CurlUnreadable."""
        url, user = self._url()
        user = self.user if self.user is not None else user
        body, needs_form = None, {name.lower() for name, value in self.headers if value is not None}
        if self.json:
            for name in ("content-type", "accept"):
                if name not in needs_form:
                    self.headers.append((name.title(), "application/json"))
        joined = b"" if self.json else b"&"
        query = list(self.url_query)
        if self.get:
            query.append(joined.join(part.content for part in self.data).decode("utf-8", "replace"))
        elif self.upload is not None:
            body = body_of([DataPart(self._file(self.upload))], [], joined, "application/octet-stream")
        else:
            body = body_of(self.data, self.parts, joined, self._sent("content-type"))
        if any(query):
            url += ("&" if "?" in url else "?") + "&".join(part for part in query if part)
        params: dict[str, Any] = {"url": escaped(url)}
        method = self.method or (
            "HEAD" if self.head else "PUT" if self.upload is not None else "POST" if body else "GET"
        )
        if method.upper() != "GET":
            params["method"] = method.upper()
        auth = self._auth(user)
        headers = self._headers(body, auth is not None)
        found = {"headers": headers, "body": body, "auth": auth, "tls": self.tls, "timeouts": self.timeouts}
        params |= {key: value for key, value in found.items() if value}
        if self.proxy is not None:
            params["proxy"] = self._proxy()
        return {**params, **self.more}

    def _url(self) -> tuple[str, str | None]:
        """The URL and the user in it."""
        if len(self.urls) != 1:
            said = "no URL" if not self.urls else f"{len(self.urls)} URLs"
            raise CurlUnreadable(
                f"The command line has {said}; one request needs one.", hint="Quote what belongs together."
            )
        text = self.urls[0] if "://" in self.urls[0] else f"http://{self.urls[0]}"
        scheme, _, rest = text.partition("#")[0].partition("://")
        end = next((at for at, char in enumerate(rest) if char in "/?\\"), len(rest))
        user, _, host = rest[:end].rpartition("@")
        text = f"{scheme}://{host}{rest[end:]}"
        try:
            parse_url(text)
        except PermanentError as error:
            raise CurlUnreadable(error.message, hint=error.hint) from None
        name, _, password = user.partition(":")
        return text, f"{unquote(name)}:{unquote(password)}" if user else None

    def _sent(self, name: str) -> str | None:
        return next((value for key, value in reversed(self.headers) if key.lower() == name and value is not None), None)

    def _auth(self, user: str | None) -> dict[str, str] | None:
        """The `auth` that the options or an Authorization header stand for; the header is taken out."""
        if self.bearer is not None:
            return {"type": "bearer", "token": self.secrets.keep("http_token", self.bearer)}
        if user is not None:
            return self._basic(user)
        scheme, _, value = (self._sent("authorization") or "").partition(" ")
        auth: dict[str, str] | None = None
        if scheme.lower() == "bearer" and value.strip():
            auth = {"type": "bearer", "token": self.secrets.keep("http_token", value.strip())}
        elif scheme.lower() == "basic":
            try:
                auth = self._basic(base64.b64decode(value.strip(), validate=True).decode())
            except (binascii.Error, ValueError):
                return None
        if auth is not None:
            self.headers = [(key, text) for key, text in self.headers if key.lower() != "authorization"]
        return auth

    def _basic(self, user: str) -> dict[str, str]:
        name, _, password = user.partition(":")
        return {"type": "basic", "username": escaped(name), "password": self.secrets.keep("http_password", password)}

    def _headers(self, body: dict[str, Any] | None, authorised: bool) -> dict[str, Any]:
        headers: dict[str, Any] = {}
        for name, value in self.headers:
            low = name.lower()
            if value is None or low in ("content-length", "host", "connection", "accept-encoding", "transfer-encoding"):
                if value is not None and low == "host":
                    self.notes.append("The Host header is not carried over; it always is the URL's host.")
                continue
            if low == "content-type" and body is not None and _said_by_body(body, value):
                continue
            if authorised and low == "authorization":
                continue
            kept = self.secrets.keep(name, value) if is_secret_header(name) else escaped(value)
            before = headers.get(name)
            headers[name] = kept if before is None else [*(before if isinstance(before, list) else [before]), kept]
        return headers

    def _proxy(self) -> str:
        text = self.proxy if self.proxy and "://" in self.proxy else f"http://{self.proxy}"
        if self.proxy_user is not None:
            scheme, _, rest = text.partition("://")
            name, _, password = self.proxy_user.partition(":")
            text = f"{scheme}://{quote_plus(name)}:{quote_plus(password)}@{rest.rpartition('@')[2]}"
        return self.secrets.keep("http_proxy", text) if "@" in text else escaped(text)


def _said_by_body(body: dict[str, Any], content_type: str) -> bool:
    """Whether the body's own content type is the one that was written."""
    media = content_type.partition(";")[0].strip().lower()
    if body["type"] == "raw":
        return body.get("content_type") == content_type
    return (
        media
        == {
            "json": "application/json",
            "form": "application/x-www-form-urlencoded",
            "multipart": "multipart/form-data",
        }[body["type"]]
    )


def _urlencoded(text: str, read: ReadFile) -> str:
    """The forms of --data-urlencode: content, =content, name=content, @file, name@file."""
    equals, at = text.find("="), text.find("@")
    if equals >= 0 and (at < 0 or equals < at):
        name, value = text[:equals], text[equals + 1 :]
    elif at >= 0:
        name, value = text[:at], read(text[at + 1 :]).decode("utf-8", "replace")
    else:
        name, value = "", text
    encoded = quote_plus(value)
    return f"{name}={encoded}" if name else encoded


def _number(option: str, text: str, *, least: float = 0) -> float:
    try:
        number = float(text)
    except ValueError:
        number = least - 1
    if not least <= number <= 10**9:
        raise CurlUnreadable(f"{option} needs a number, not {text[:40]!r}.")
    return number
