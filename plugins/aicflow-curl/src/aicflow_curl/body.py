"""From curl's data and form options to the node's `body`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aicflow import cut
from pydantic_core import from_json

from aicflow_curl.shell_words import CurlUnreadable

_FORM = "application/x-www-form-urlencoded"


def escaped(text: str) -> str:
    """The text so that a document takes it literally, even where it looks like a reference."""
    return text.replace("${{", "$${{")


def body_of(
    data: Sequence[bytes], parts: Sequence[dict[str, Any]], joint: bytes, content_type: str | None
) -> dict[str, Any] | None:
    """The body: JSON and form fields where the data is that, else raw. Raises CurlUnreadable."""
    if data and parts:
        raise CurlUnreadable("-d and -F cannot go together.")
    if parts:
        return {"type": "multipart", "parts": list(parts)}
    if not data:
        return None
    content = joint.join(data)
    media = (content_type or _FORM).partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        try:
            value = from_json(content, allow_inf_nan=False)
            return {"type": "json", "value": _literal(value)}
        except ValueError:
            pass
    if media == _FORM:
        fields = _fields(content)
        if fields is not None:
            return {"type": "form", "fields": fields}
    raw = {"type": "raw", "content_type": escaped(content_type or _FORM)}
    try:
        return {**raw, "text": escaped(content.decode())}
    except UnicodeDecodeError:
        return {**raw, "base64": base64.b64encode(content).decode("ascii")}


def _literal(value: Any) -> Any:
    """The JSON value with every text taken literally."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    return value


def _fields(content: bytes) -> dict[str, Any] | None:
    """The form fields, None when they would not be written as the same bytes again."""
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except (ValueError, UnicodeError):
        return None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        before = fields.get(name)
        text = escaped(value)
        fields[name] = text if before is None else [*(before if isinstance(before, list) else [before]), text]
    again = [(name, item) for name, value in fields.items() for item in (value if isinstance(value, list) else [value])]
    same = urlencode([(name, value.replace("$${{", "${{")) for name, value in again]).encode("ascii") == content
    return fields if same else None


def form_part(text: str, read: Callable[[str], bytes], *, literal: bool) -> dict[str, Any]:
    """One -F: name=text, name=@file, name=<file, with ;type= and ;filename=. Raises CurlUnreadable."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CurlUnreadable(f"-F needs name=value, not {cut(text, 40)!r}.")
    part: dict[str, Any] = {"name": escaped(name)}
    if literal:
        return {**part, "text": escaped(value)}
    value, *attributes = value.split(";")
    for attribute in attributes:
        key, _, option = attribute.strip().partition("=")
        if key == "type":
            part["content_type"] = escaped(option)
        elif key == "filename":
            part["filename"] = escaped(option.strip('"'))
        else:
            value += f";{attribute}"
    if value[:1] not in ("@", "<"):
        return {**part, "text": escaped(value.strip('"') if value.startswith('"') else value)}
    content = read(value[1:].strip('"'))
    if value.startswith("@"):
        part.setdefault("filename", escaped(value[1:].strip('"').replace("\\", "/").rpartition("/")[2]))
    try:
        return {**part, "text": escaped(content.decode())}
    except UnicodeDecodeError:
        return {**part, "base64": base64.b64encode(content).decode("ascii")}
