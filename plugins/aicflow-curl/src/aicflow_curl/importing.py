"""From a curl command line to the params of http.request."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote

from aicflow import PermanentError, cut
from aicflow_http.params import HttpRequestParams, is_secret_header
from aicflow_http.requests import parse_url
from pydantic import ValidationError

from aicflow_curl.body import body_of, escaped, form_part
from aicflow_curl.options import options
from aicflow_curl.shell_words import CurlUnreadable, split

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
    reading = _Reading(inline_secrets, read_file)
    for name, value in options(words[1:]):
        reading.take(name, value)
    params = reading.finish()
    _check(params)
    return CurlImport(params, reading.secrets, tuple(reading.notes))


def _check(params: dict[str, Any]) -> None:
    try:
        HttpRequestParams.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CurlUnreadable(f"The command line makes invalid params: {where}: {first['msg']}.") from None


@dataclass(slots=True)
class _Reading:
    """The options so far: `last` holds the last value of each, which is all that matters for most."""

    inline_secrets: bool
    read_file: ReadFile | None
    last: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    headers: list[tuple[str, str | None]] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    query: list[str] = field(default_factory=list)

    def take(self, name: str, value: str) -> None:
        """Note one option."""
        self.last[name] = value
        match name:
            case "url":
                self.urls.append(value)
            case "header":
                self._header(value)
            case "data" | "data-ascii" | "data-binary" | "data-raw" | "data-urlencode" | "json":
                self.data.append(self._data(name, value))
            case "form" | "form-string":
                self.parts.append(form_part(value, self._file, literal=name == "form-string"))
            case "url-query":
                self.query.append(value[1:] if value[:1] == "+" else _urlencoded(value, self._file))
            case "user-agent" | "referer":
                self.headers.append((name.title(), value))
            case "range":
                self.headers.append(("Range", f"bytes={value}"))
            case "cookie":
                if "=" not in value:
                    raise CurlUnreadable(
                        "-b names a file of cookies, which is not read.", hint="Write -b 'name=value'."
                    )
                self.headers.append(("Cookie", value))

    def _keep(self, name: str, value: str) -> str:
        """What to write in the params for a credential: a reference to a secret, unless values stay where they are."""
        if self.inline_secrets or not value:
            return escaped(value)
        name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "secret"
        name = f"_{name}" if name[0].isdigit() else name
        unique, number = name[:56], 2
        while self.secrets.get(unique, value) != value:
            unique, number = f"{name[:56]}_{number}", number + 1
        self.secrets[unique] = value
        return f"${{{{ secrets.{unique} }}}}"

    def _file(self, name: str) -> bytes:
        if self.read_file is None:
            raise CurlUnreadable(
                f"The command line names the file {name!r}, which cannot be read here.",
                hint="Write its content instead.",
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
            raise CurlUnreadable(f"The header {cut(name, 40)!r} has no colon.")
        elif not value.strip():
            self.headers.append((name.strip(), None))  # curl leaves out a header that it would have sent
            return
        self.headers.append((name.strip(), value.strip()))

    def _data(self, name: str, value: str) -> bytes:
        if name == "data-urlencode":
            return _urlencoded(value, self._file).encode()
        if name != "data-raw" and value.startswith("@"):
            content = self._file(value[1:])
            if name in ("data", "data-ascii"):
                content = content.replace(b"\r", b"").replace(b"\n", b"")
            return content
        return value.encode("utf-8", "replace")

    def finish(self) -> dict[str, Any]:
        """The params. Raises CurlUnreadable."""
        last, body = self.last, None
        url, user = self._url()
        if "retry" in last:
            attempts = int(_number("--retry", last["retry"])) + 1
            self.notes.append(f"--retry belongs to the node, beside params: retry: {{max_attempts: {attempts}}}.")
        if "location-trusted" in last:
            self.notes.append("--location-trusted: credentials are never sent to another host than the first.")
        if "json" in last:
            for name in ("Content-Type", "Accept"):
                if self._sent(name) is None:
                    self.headers.append((name, "application/json"))
        joint = b"" if "json" in last else b"&"
        query = list(self.query)
        if "get" in last:
            query.append(joint.join(self.data).decode("utf-8", "replace"))
        elif "upload-file" in last:
            body = body_of([self._file(last["upload-file"])], [], joint, "application/octet-stream")
        else:
            body = body_of(self.data, self.parts, joint, self._sent("content-type"))
        if any(query):
            url += ("&" if "?" in url else "?") + "&".join(part for part in query if part)
        implied = "HEAD" if "head" in last else "PUT" if "upload-file" in last else "POST" if body else "GET"
        method = last.get("request", implied).upper()
        tls, auth = self._tls(), self._auth(last.get("user", user))
        found = {
            "method": method if method != "GET" else None,
            "headers": self._headers(body, auth is not None),
            "body": body,
            "auth": auth,
            "tls": tls,
            "timeouts": {
                key: _number(f"--{name}", last[name])
                for name, key in (("connect-timeout", "connect"), ("max-time", "total"))
                if name in last
            },
            "proxy": self._proxy() if "proxy" in last else None,
        }
        if "max-redirs" in last:
            most = int(_number("--max-redirs", last["max-redirs"], least=-1))
            found["redirects"] = {"max": 50 if most < 0 else most}
        if "max-filesize" in last:
            found["response"] = {"max_bytes": int(_number("--max-filesize", last["max-filesize"]))}
        return {"url": escaped(url), **{key: value for key, value in found.items() if value}}

    def _tls(self) -> dict[str, Any]:
        last, tls = self.last, dict[str, Any]()
        if "cacert" in last:
            tls["ca"] = escaped(self._file(last["cacert"]).decode("ascii", "replace"))
        path, _, password = last.get("cert", "").partition(":")
        for name, file in (("cert", path), ("key", last.get("key"))):
            if file:
                tls[f"client_{name}"] = self._keep(f"client_{name}", self._file(file).decode("ascii", "replace"))
        if password := last.get("pass", password):
            tls["client_key_password"] = self._keep("client_key_password", password)
        if "insecure" in last:
            tls["verify"] = False
        return tls

    def _url(self) -> tuple[str, str | None]:
        """The URL and the user in it."""
        if len(self.urls) != 1:
            found = "no URL" if not self.urls else f"{len(self.urls)} URLs"
            raise CurlUnreadable(
                f"The command line has {found}; one request needs one.", hint="Quote what belongs together."
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
        if "oauth2-bearer" in self.last:
            return {"type": "bearer", "token": self._keep("http_token", self.last["oauth2-bearer"])}
        if user is not None:
            return self._basic(user)
        scheme, _, value = (self._sent("authorization") or "").partition(" ")
        auth: dict[str, str] | None = None
        if scheme.lower() == "bearer" and value.strip():
            auth = {"type": "bearer", "token": self._keep("http_token", value.strip())}
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
        return {"type": "basic", "username": escaped(name), "password": self._keep("http_password", password)}

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
            kept = self._keep(name, value) if is_secret_header(name) else escaped(value)
            before = headers.get(name)
            headers[name] = kept if before is None else [*(before if isinstance(before, list) else [before]), kept]
        return headers

    def _proxy(self) -> str:
        proxy, user = self.last["proxy"], self.last.get("proxy-user")
        text = proxy if "://" in proxy else f"http://{proxy}"
        if user is not None:
            scheme, _, rest = text.partition("://")
            name, _, password = user.partition(":")
            text = f"{scheme}://{quote_plus(name)}:{quote_plus(password)}@{rest.rpartition('@')[2]}"
        return self._keep("http_proxy", text) if "@" in text else escaped(text)


def _said_by_body(body: dict[str, Any], content_type: str) -> bool:
    """Whether the body's own content type is the one that was written."""
    media = content_type.partition(";")[0].strip().lower()
    if body["type"] == "raw":
        return body.get("content_type") == content_type
    own = {"json": "application/json", "form": "application/x-www-form-urlencoded", "multipart": "multipart/form-data"}
    return media == own[body["type"]]


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
        raise CurlUnreadable(f"{option} needs a number, not {cut(text, 40)!r}.")
    return number
