"""Calls on API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from aicflow_sdk.call import Call, Listing, encode_json, instant, keyed, model, nothing, path
from aicflow_sdk.models import ApiKey, CreatedApiKey

__all__ = ["create", "list_", "revoke"]

type Scope = Literal["read", "write", "execute", "admin"]


def create(
    name: str, scopes: Sequence[Scope], *, expires_at: datetime | None = None, idempotency_key: str | None = None
) -> Call[CreatedApiKey]:
    """A new API key; `key` is in this answer only. `admin` includes every other scope."""
    body: dict[str, Any] = {"name": name, "scopes": [scopes] if isinstance(scopes, str) else list(scopes)}
    if expires_at is not None:
        body["expires_at"] = instant("expires_at", expires_at)
    return Call(
        method="POST",
        path=path("api-keys"),
        body=encode_json(body),
        headers=keyed(idempotency_key),
        parse=model(CreatedApiKey),
        repeatable=True,
    )


def list_(*, limit: int | None = None) -> Listing[ApiKey]:
    """The API keys, newest first, revoked ones too; never the keys themselves."""
    return Listing(path=path("api-keys"), item=ApiKey, limit=limit)


def revoke(key_id: str) -> Call[None]:
    """Make a key worthless at once. Raises NotFound."""
    return Call(method="DELETE", path=path("api-keys", key_id), parse=nothing, repeatable=True, gone_is_done=True)
