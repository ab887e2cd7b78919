"""Signed links to a waiting step: who may open one holds it, and nobody can make one."""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

PURPOSE: Final = "aicflow-forms/link"
PUBLIC_URL: Final = "AICFLOW_PUBLIC_URL"
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Link:
    """To which step a link leads, and whom it was made for. It says nothing of time: it works as long as the step
    waits, and once."""

    execution_id: str
    step_id: str
    approver: str | None

    def token(self, key: bytes) -> str:
        """The last segment of its URL."""
        body = _encode(json.dumps([self.execution_id, self.step_id, self.approver]).encode())
        return f"{body}.{_signature(key, body)}"

    @classmethod
    def read(cls, token: str, key: bytes) -> Link | None:
        """The link of a token; None when it was not signed with the key."""
        body, _, signature = token.partition(".")
        if len(token) > _LONGEST or not token.isascii() or not hmac.compare_digest(signature, _signature(key, body)):
            return None
        return cls(*json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def _signature(key: bytes, body: str) -> str:
    return _encode(hmac.digest(key, body.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def public_url() -> str | None:
    """Where the world reaches this server, without a slash at the end; None when nobody has said."""
    return os.environ.get(PUBLIC_URL, "").strip().rstrip("/") or None
