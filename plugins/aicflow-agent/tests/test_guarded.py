"""A base_url that a workflow names goes through the guard of everything that dials out."""

from __future__ import annotations

import pytest
from agent_kit import ask
from aicflow import PermanentError
from aicflow.testing import Answer, ChatServer, HttpError
from aicflow_agent import Agent


@pytest.fixture
def _no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AICFLOW_HTTP_ALLOW_HOSTS")


async def _refusal(server: ChatServer, **params: str) -> PermanentError:
    agent = Agent()
    await agent.start()
    try:
        with pytest.raises(PermanentError) as caught:
            await ask(agent, server, **params)
    finally:
        await agent.stop()
    return caught.value


@pytest.mark.usefixtures("_no_list")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
async def test_an_inner_address_is_never_dialled(host: str) -> None:
    async with ChatServer([HttpError(404, "the secret of an inner service")]) as server:
        port = server.base_url.split(":")[2].removesuffix("/v1")
        error = await _refusal(server, base_url=f"http://{host}:{port}/v1")
    assert (error.code, error.pointer) == ("http-refused", "/base_url")
    assert "secret of an inner" not in error.message
    assert server.requests == []


@pytest.mark.usefixtures("_no_list")
async def test_the_operators_own_server_needs_no_entry_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer([Answer("here"), Answer("here")]) as server:
        monkeypatch.setenv("AICFLOW_AGENT_BASE_URL", server.base_url)
        agent = Agent()
        await agent.start()
        try:
            assert (await ask(agent, server, base_url=None))["text"] == "here"
            assert (await ask(agent, server))["text"] == "here"
        finally:
            await agent.stop()
        # another path on the same host and port is another place
        error = await _refusal(server, base_url=f"{server.base_url}/admin")
    assert error.code == "http-refused"


async def test_other_providers_dial_only_where_the_list_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer() as server:
        listed = await _refusal(server, model="anthropic:claude")
        assert listed.code == "provider-missing"  # as far as it comes here: the package is not installed
        monkeypatch.delenv("AICFLOW_HTTP_ALLOW_HOSTS")
        error = await _refusal(server, model="anthropic:claude")
        assert (error.code, error.pointer) == ("http-refused", "/base_url")
        assert "AICFLOW_HTTP_ALLOW_HOSTS=127.0.0.1:" in (error.hint or "")
