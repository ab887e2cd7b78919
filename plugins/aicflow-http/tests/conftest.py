"""A started node that may reach loopback, shared by the tests, and no settings from the machine around."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aicflow.net import HostRules, HttpSettings
from aicflow.testing import RecordingContext, run_node
from aicflow_http import HttpRequest

sys.path.append(str(Path(__file__).parent))  # for http_kit


@pytest.fixture(autouse=True)
def _no_operator_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AICFLOW_HTTP_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def node() -> AsyncIterator[HttpRequest]:
    """A node whose operator allows loopback."""
    started = HttpRequest(HttpSettings(allow=HostRules.parse("127.0.0.1, localhost")))
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def send(node: HttpRequest) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Run the node once with these params."""

    async def run(context: RecordingContext | None = None, **params: Any) -> dict[str, Any]:
        output = await run_node(HttpRequest, params, instance=node, context=context)
        assert isinstance(output, dict)
        return output

    return run
