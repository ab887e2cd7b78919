"""The chat models and connection pools that all agents of a process share. Imports LangChain: load it in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aicflow import PermanentError, cut
from aicflow.net import HttpSettings, http_client, public_context
from httpx2 import URL, MockTransport, Request, Response
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from aicflow_agent.compatible import CompatibleChat, check_stream
from aicflow_agent.params import AgentParams
from aicflow_agent.settings import Endpoint, name_set

_MOST_MODELS = 64
# Providers whose LangChain class takes max_retries; the kernel retries, so the library must not.
_TAKES_MAX_RETRIES = name_set(
    "anthropic azure_openai cohere deepseek fireworks groq mistralai openai openrouter perplexity together upstage xai "
)


class Models:
    """Chat models by what they were made of: making one costs as much as a call. A server that a workflow names is
    dialled behind the guard, as http.request dials."""

    def __init__(self) -> None:
        # Redirects are not followed: a model server has no reason to send a key and a prompt elsewhere.
        hooks = {"response": [check_stream]}
        self._settings = HttpSettings.from_environment()
        self._guarded = http_client(
            self._settings, pointer="/base_url", make=DefaultAsyncHttpxClient, follow_redirects=False, event_hooks=hooks
        )
        self._operators = DefaultAsyncHttpxClient(follow_redirects=False, verify=public_context(), event_hooks=hooks)
        # Never used, but LangChain would make one for each base_url, reading all certificates again.
        self._blocking = DefaultHttpxClient(transport=MockTransport(_no_blocking))
        self._made: dict[Any, BaseChatModel] = {}

    async def close(self) -> None:
        """Close the pools."""
        await self._guarded.aclose()
        await self._operators.aclose()
        self._blocking.close()

    async def get(self, params: AgentParams, endpoint: Endpoint, redact: Callable[[str], str]) -> BaseChatModel:
        """The model, without retries of its own. Raises PermanentError: address refused, unknown
        provider, package or key missing."""
        if not endpoint.operators and endpoint.provider != "openai":
            self._check_unguarded(endpoint)
        key = (endpoint, params.temperature, params.max_tokens, params.timeout)
        model = self._made.pop(key, None)
        if model is None:
            # Seconds when a provider's package is imported for the first time.
            model = await asyncio.to_thread(self._make, params, endpoint, redact)
        self._made[key] = model  # the newest last
        if len(self._made) > _MOST_MODELS:
            del self._made[next(iter(self._made))]
        return model

    def _make(self, params: AgentParams, endpoint: Endpoint, redact: Callable[[str], str]) -> BaseChatModel:
        options: dict[str, Any] = {
            "base_url": endpoint.base_url,
            "api_key": endpoint.api_key,
            "temperature": params.temperature,
            "max_tokens": params.max_tokens,
        }
        options = {key: value for key, value in options.items() if value is not None}
        if endpoint.provider in _TAKES_MAX_RETRIES or endpoint.provider is None:
            options |= {"max_retries": 0, "timeout": params.timeout}
        try:
            if endpoint.provider != "openai":
                model: BaseChatModel = init_chat_model(endpoint.model, model_provider=endpoint.provider, **options)
                return model
            if endpoint.base_url is not None:
                options["use_responses_api"] = False  # compatible servers speak chat completions
            return CompatibleChat(
                model=endpoint.model,
                http_client=self._blocking,
                http_async_client=self._operators if endpoint.operators else self._guarded,
                stream_usage=True,
                stream_chunk_timeout=None,
                **options,
            )
        except ImportError as error:
            raise PermanentError(
                f"The provider of {params.model or endpoint.model!r} is not installed: {error}",
                code="provider-missing",
                pointer="/model",
                hint="Install the provider's LangChain package beside aicflow-agent.",
            ) from None
        except Exception as error:
            said = cut(redact(str(error).partition("\n")[0]), 500)
            raise PermanentError(
                f"The model {endpoint.model!r} cannot be set up: {said}",
                code="model-setup",
                pointer="/model",
                hint="Write it as provider:model, and give its key as api_key or in the provider's environment "
                "variable.",
            ) from None

    def _check_unguarded(self, endpoint: Endpoint) -> None:
        """Raises PermanentError: the packages of other providers dial by themselves, so only the operator's list of
        hosts can answer for the address."""
        url = URL(endpoint.base_url or "")
        port = url.port or (443 if url.scheme == "https" else 80)
        if not self._settings.allow.holds(url.raw_host.decode("ascii"), port):
            raise PermanentError(
                f"The request was refused: the package of {endpoint.provider} dials by itself, so the addresses of "
                f"{url.host} cannot be checked.",
                code="http-refused",
                pointer="/base_url",
                hint=f"An operator can allow it: AICFLOW_HTTP_ALLOW_HOSTS={url.host}:{port}. "
                "Or leave base_url out, or name an OpenAI-compatible server.",
            )


def _no_blocking(_: Request) -> Response:
    raise AssertionError("models are called asynchronously")
