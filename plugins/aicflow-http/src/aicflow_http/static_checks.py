"""Problems of params as written in a document, with references not yet resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from aicflow import File, Issue, PermanentError
from aicflow import pointer as json_pointer
from pydantic import TypeAdapter

from aicflow_http.params import is_secret_header

_REFERENCE = "${{"
_SECRETS: Mapping[str, tuple[str, ...]] = {
    "basic": ("password",),
    "bearer": ("token",),
    "api_key": ("value",),
    "hmac": ("secret",),
    "oauth2_client_credentials": ("client_secret",),
}


def problems(params: Mapping[str, Any]) -> Sequence[Issue]:
    """Errors and warnings in the order of the params. Pointers are relative to them."""
    return [*_urls(params), *_headers(params), *_auth(params), *_pagination(params)]


def _urls(params: Mapping[str, Any]) -> Iterator[Issue]:
    from aicflow_http.requests import parse_url  # brings the HTTP library, which a start without such nodes can spare

    auth = params.get("auth")
    token_url = auth.get("token_url") if isinstance(auth, Mapping) else None
    for pointer, text in (("/url", params.get("url")), ("/auth/token_url", token_url)):
        if not isinstance(text, str) or text.startswith(_REFERENCE):
            continue
        problem: PermanentError | None = None
        for sample in ("/1", "1"):  # a reference right behind the host is a path, anywhere else a part of something
            try:
                parse_url(re.sub(r"\$\{\{.*?\}\}", sample, text, flags=re.DOTALL), pointer)
            except PermanentError as error:
                problem = error
            else:
                break
        else:
            assert problem is not None
            yield Issue("param.invalid", "error", pointer, problem.message, hint=problem.hint)


def _headers(params: Mapping[str, Any]) -> Iterator[Issue]:
    headers = params.get("headers")
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if isinstance(value, str) and is_secret_header(str(name)) and _REFERENCE not in value:
            yield _plain(json_pointer("headers", str(name)), f"The header {name}")


def _auth(params: Mapping[str, Any]) -> Iterator[Issue]:
    auth = params.get("auth")
    if not isinstance(auth, Mapping):
        return
    for name in _SECRETS.get(str(auth.get("type")), ()):
        value = auth.get(name)
        if isinstance(value, str) and value and _REFERENCE not in value:
            yield _plain(f"/auth/{name}", f"{name} of 'auth'")


def _plain(pointer: str, what: str) -> Issue:
    return Issue(
        "param.invalid",
        "warning",
        pointer,
        f"{what} is written into the document, where everyone who may read the workflow sees it.",
        hint="Keep it as a secret and write ${{ secrets.NAME }}.",
    )


def _pagination(params: Mapping[str, Any]) -> Iterator[Issue]:
    response, pagination = params.get("response"), params.get("pagination")
    if pagination is not None and isinstance(response, Mapping) and response.get("as") in ("text", "bytes", "file"):
        yield Issue(
            "param.invalid", "error", "/response/as", "Pages are read as JSON.", hint="Remove 'as', or the pagination."
        )


def output_schema(schema: Mapping[str, Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The output's schema, with the body's type where the params decide it."""
    response = params.get("response")
    wanted = response.get("as") if isinstance(response, Mapping) else None
    body: dict[str, Any] = {}
    if params.get("pagination") is None and wanted in ("text", "bytes"):
        body = {"type": "string"}
    if params.get("pagination") is None and wanted == "file":
        body = _file_schema()
    if not body:
        return schema
    properties = {**schema["properties"], "body": body}
    return {**schema, "properties": properties}


@cache
def _file_schema() -> dict[str, Any]:
    return TypeAdapter(File).json_schema(mode="serialization")
