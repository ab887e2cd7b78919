"""Making the LangChain chat model for an endpoint. Imports LangChain: load this module in a thread."""

from __future__ import annotations

from typing import Any

from aicflow import PermanentError
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel

from aicflow_agent.compatible import CompatibleChat
from aicflow_agent.params import AgentParams
from aicflow_agent.settings import Endpoint, Mask, name_set

__all__ = ["make_chat_model"]


# Providers whose LangChain class takes max_retries; the kernel retries, so the library must not.
_TAKES_MAX_RETRIES = name_set(
    "anthropic azure_openai cohere deepseek fireworks groq mistralai openai openrouter perplexity together upstage xai "
)


def make_chat_model(params: AgentParams, endpoint: Endpoint, clients: tuple[Any, Any], mask: Mask) -> BaseChatModel:
    """A chat model without retries of its own. `clients` are HTTP clients, blocking and asynchronous.

    Raises PermanentError: unknown provider, package or key missing.
    """
    options: dict[str, Any] = {
        "model_provider": endpoint.provider,
        "base_url": endpoint.base_url,
        "api_key": endpoint.api_key,
        "temperature": params.temperature,
        "max_tokens": params.max_tokens,
    }
    options = {key: value for key, value in options.items() if value is not None}
    if endpoint.provider in _TAKES_MAX_RETRIES or endpoint.provider is None:
        options |= {"max_retries": 0, "timeout": params.timeout}
    if endpoint.provider == "openai":
        options |= {
            "http_client": clients[0],
            "http_async_client": clients[1],
            "stream_usage": True,
            "stream_chunk_timeout": None,
        }
        if endpoint.base_url is not None:
            options["use_responses_api"] = False  # compatible servers speak chat completions
    try:
        if endpoint.provider == "openai":
            return CompatibleChat(model=endpoint.model, **{k: v for k, v in options.items() if k != "model_provider"})
        model: BaseChatModel = init_chat_model(endpoint.model, **options)
        return model
    except ImportError as error:
        raise PermanentError(
            f"The provider of {params.model or endpoint.model!r} is not installed: {error}",
            code="provider-missing",
            pointer="/model",
            hint="Install the provider's LangChain package beside aicflow-agent.",
        ) from None
    except Exception as error:
        said = mask(str(error).partition("\n")[0])[:500]
        raise PermanentError(
            f"The model {endpoint.model!r} cannot be set up: {said}",
            code="model-setup",
            pointer="/model",
            hint="Write it as provider:model, and give its key as api_key or in the provider's environment variable.",
        ) from None
