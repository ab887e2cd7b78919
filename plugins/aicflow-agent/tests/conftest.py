"""One started agent for the whole session (importing LangChain takes seconds), and no keys from the machine around."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aicflow_agent import Agent

sys.path.append(str(Path(__file__).parent))  # for agent_kit


@pytest.fixture(autouse=True)
def _no_operator_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith(("AICFLOW_AGENT_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "127.0.0.1")  # where the model servers of the tests listen


@pytest_asyncio.fixture
async def agent() -> AsyncIterator[Agent]:
    node = Agent()
    await node.start()
    yield node
    await node.stop()
