"""Asking the server that runs on this machine, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aicflow.host.datadir import DataDir
from aicflow.kernel.errors import AICFlowError

__all__ = ["Remote", "running_server"]


@dataclass(frozen=True, slots=True)
class Remote:
    """A server and the key for it."""

    url: str
    key: str

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The answer's JSON, None when it has none. Raises AICFlowError with what the server said."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
            self.url.rstrip("/") + path,
            data=data,
            method=method,
            headers={"authorization": f"Bearer {self.key}", "content-type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise _refused(error.read(), error.code) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)  # urllib hides what happened
            raise AICFlowError(
                f"The server at {self.url} does not answer: {reason}.", hint="Is it running? AICFLOW_URL says where."
            ) from None
        return json.loads(content) if content else None


def _refused(content: bytes, status: int) -> AICFlowError:
    try:
        problem = json.loads(content)
        return AICFlowError(str(problem["detail"]), hint=problem.get("hint"))
    except (ValueError, KeyError, TypeError):
        return AICFlowError(f"The server answered with status {status}.")


def running_server(data: DataDir) -> Remote | None:
    """The server to ask: AICFLOW_URL, or the one that runs on the data folder. Raises AICFlowError without a key."""
    url = os.environ.get("AICFLOW_URL")
    if not url:
        server = data.server()
        if server is None:
            return None
        url = server.url
    key = os.environ.get("AICFLOW_API_KEY") or data.admin_key()
    if not key:
        raise AICFlowError(
            f"There is no API key for {url}.", hint=f"Set AICFLOW_API_KEY, or keep one in {data.admin_key_file}."
        )
    return Remote(url, key)
