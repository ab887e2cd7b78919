"""Request bodies: their declared type, their bytes, and JSON that must fit a model."""

from __future__ import annotations

import asyncio
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from aicflow.charsets import decode_text
from aicflow.host.documents import DocumentFormat, SourceDocument, read_document, read_json
from aicflow.host.problems import Problem, of_validation
from aicflow.host.settings import Settings
from aicflow.kernel.errors import DocumentUnreadable
from aicflow.texts import cut

_YAML: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_JSON: Final = frozenset({"application/json", "text/json"})
_IN_THREAD: Final = 64 * 1024  # larger ones would hold the event loop for milliseconds


async def _body(request: Request, *, yaml: bool) -> tuple[bytes, DocumentFormat]:
    """The body in UTF-8, and what it says it is; JSON when it does not say. Raises Problem."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "Compressed bodies are not supported.")
    given = request.headers.get("content-type", "application/json")
    essence, _, parameters = given.partition(";")
    essence = essence.strip().lower()
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip().strip('"')
    format: DocumentFormat
    if essence in _JSON or (essence.startswith("application/") and essence.endswith("+json")):
        format = "json"
    elif yaml and (essence in _YAML or (essence.startswith("application/") and essence.endswith("+yaml"))):
        format = "yaml"
    else:
        accepted = "application/json or application/yaml" if yaml else "application/json"
        raise Problem("unsupported-media-type", f"The type {cut(essence, 80)!r} is not supported; send {accepted}.")
    data = await request.body()
    if charset in ("", "utf-8", "utf8", "us-ascii"):
        return data, format
    try:
        return decode_text(data, charset).encode(), format
    except LookupError as error:
        raise Problem("unsupported-media-type", f"{str(error).capitalize()}; send UTF-8.") from None
    except UnicodeError:
        raise DocumentUnreadable(f"The document is not {cut(charset, 40)} text.", code="doc.encoding") from None


async def document_body(request: Request, settings: Settings) -> SourceDocument:
    """The document in the body, JSON or YAML. Raises Problem, DocumentUnreadable."""
    data, format = await _body(request, yaml=True)
    if format == "yaml" or len(data) > _IN_THREAD:  # a few aliases make a small text large
        return await asyncio.to_thread(read_document, data, format, settings.limits)
    return read_document(data, format, settings.limits)


async def json_body[M: BaseModel](request: Request, settings: Settings, model: type[M], *, optional: bool = False) -> M:
    """The body as the model. With `optional`, no body at all is an empty object. Raises Problem."""
    if optional and not await request.body():
        return model()
    data, _ = await _body(request, yaml=False)
    if len(data) > _IN_THREAD:
        value = await asyncio.to_thread(read_json, data, settings.limits)
    else:
        value = read_json(data, settings.limits)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise of_validation(found, "body") from None
