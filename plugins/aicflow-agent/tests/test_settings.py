"""Which model, which server, whose key."""

from __future__ import annotations

import pytest
from agent_kit import KEY, ask
from aicflow import PermanentError
from aicflow.testing import Answer, ChatServer, run_node
from aicflow_agent import Agent, AgentParams
from aicflow_agent.settings import PLACEHOLDER_KEY, endpoint_for, secret_keys

OPERATOR = {
    "AICFLOW_AGENT_MODEL": "house-model",
    "AICFLOW_AGENT_BASE_URL": "http://models.internal/v1",
    "AICFLOW_AGENT_API_KEY": "operator-key",
    "OPENAI_API_KEY": "openai-key",
}


def endpoint(env: dict[str, str], **params: str) -> tuple[str, str | None, str | None, str | None]:
    found = endpoint_for(AgentParams.model_validate({"prompt": "x", **params}), env)
    return found.model, found.provider, found.base_url, found.api_key


def test_the_operators_defaults() -> None:
    assert endpoint(OPERATOR) == ("house-model", "openai", "http://models.internal/v1", "operator-key")


def test_the_operators_key_goes_only_to_the_operators_server() -> None:
    elsewhere = "http://elsewhere.example/v1"
    assert endpoint(OPERATOR, base_url=elsewhere)[2:] == (elsewhere, PLACEHOLDER_KEY)
    assert endpoint(OPERATOR, base_url=elsewhere, model="anthropic:claude")[3] == PLACEHOLDER_KEY
    assert endpoint(OPERATOR, base_url=elsewhere, api_key="mine-alone")[3] == "mine-alone"
    assert endpoint(OPERATOR, base_url=OPERATOR["AICFLOW_AGENT_BASE_URL"])[3] == "operator-key"


def test_models_with_colons_in_their_names() -> None:
    url = "http://localhost:11434/v1"
    assert endpoint({}, model="llama3.1:8b", base_url=url)[:2] == ("llama3.1:8b", "openai")
    assert endpoint({}, model="openai:gpt-5-mini")[:2] == ("gpt-5-mini", "openai")
    assert endpoint({}, model="gpt-5-mini")[:2] == ("gpt-5-mini", None)
    assert endpoint({}, model="anthropic:claude-x")[:3] == ("claude-x", "anthropic", None)


def test_another_provider_does_not_get_the_operators_openai_server_or_key() -> None:
    assert endpoint(OPERATOR, model="anthropic:claude-x") == ("claude-x", "anthropic", None, None)


def test_keys_do_not_show_in_representations() -> None:
    params = AgentParams.model_validate({"prompt": "x", "model": "m", "base_url": "http://a/v1", "api_key": KEY})
    assert KEY not in repr(params)
    assert KEY not in repr(endpoint_for(params, {}))


def test_keys_that_are_never_shown_are_the_endpoints_and_those_that_providers_find_themselves() -> None:
    env = {"X_API_KEY": "from-env-key\n", "OTHER": "no key", "EMPTY_API_KEY": ""}
    params = AgentParams.model_validate({"prompt": "x", "model": "m", "base_url": "http://a/v1", "api_key": KEY})
    assert secret_keys(endpoint_for(params, env), env) == {KEY, "from-env-key"}
    without = AgentParams.model_validate({"prompt": "x", "model": "m", "base_url": "http://a/v1"})
    assert secret_keys(endpoint_for(without, {}), {}) == set()  # the placeholder is no secret


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://[::1", "http://host:99999/v1"]
)
def test_what_is_no_url_is_not_tried_again_and_again(url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        endpoint({}, model="m", base_url=url)
    assert caught.value.pointer == "/base_url"


async def test_a_key_read_from_a_file_may_end_with_a_line_break(agent: Agent) -> None:
    async with ChatServer([Answer("ok")]) as server:
        await ask(agent, server, api_key=f"{KEY}\n")
    assert server.keys == [KEY]


@pytest.mark.parametrize("key", ["two words-secret", "line\nbreak-secret", "schlüssel-secret", " "])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(PermanentError) as caught:
        endpoint({}, model="m", base_url="http://host/v1", api_key=key)
    assert caught.value.pointer == "/api_key"
    assert "secret" not in str(caught.value)


async def test_the_operators_environment_is_used(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer([Answer("ok")]) as server:
        monkeypatch.setenv("AICFLOW_AGENT_BASE_URL", server.base_url)
        monkeypatch.setenv("AICFLOW_AGENT_MODEL", "house-model")
        monkeypatch.setenv("AICFLOW_AGENT_API_KEY", "operator-key")
        await run_node(Agent, {"prompt": "x"}, instance=agent)
    assert server.keys == ["operator-key"]
    assert server.requests[0]["model"] == "house-model"


async def test_without_a_model_the_error_says_what_to_set(agent: Agent) -> None:
    with pytest.raises(PermanentError, match="no model") as caught:
        await run_node(Agent, {"prompt": "x"}, instance=agent)
    assert "AICFLOW_AGENT_MODEL" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("model", "code"),
    [("anthropic:claude-x", "provider-missing"), ("what-is-this", "model-setup"), ("openai:gpt-5-mini", "model-setup")],
)
async def test_models_that_cannot_be_set_up(agent: Agent, model: str, code: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await run_node(Agent, {"prompt": "x", "model": model}, instance=agent)
    assert caught.value.code == code
    assert caught.value.pointer == "/model"
    assert caught.value.hint


async def test_json_schema_output_is_for_openai_compatible_servers(agent: Agent) -> None:
    async with ChatServer([]) as server:
        with pytest.raises(PermanentError, match="output_method"):
            await ask(
                agent,
                server,
                model="ollama:x",
                output_schema={"type": "object"},
                output_method="json_schema",
            )
