"""Which model is called, where, and with whose key. Reads the operator's environment; knows nothing of LangChain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aicflow import PermanentError

from aicflow_agent.params import AgentParams

PLACEHOLDER_KEY = "not-needed"
"""Sent where no key was given for an explicit server; local servers ignore it."""


def name_set(text: str) -> frozenset[str]:
    """The names in a text, separated by spaces."""
    return frozenset(text.split())


# Prefixes that name a LangChain provider. With a base_url, anything else before a colon belongs to the model's name,
# as in llama3.1:8b.
_PROVIDERS = name_set(
    "anthropic anthropic_bedrock azure_ai azure_openai bedrock bedrock_converse cohere deepseek fireworks "
    "google_anthropic_vertex google_genai google_vertexai groq huggingface ibm litellm mistralai nvidia "
    "ollama openai openrouter perplexity together upstage xai "
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`provider` None: LangChain reads it off the model's name. `api_key` None: the provider finds its own.
    `operators`: the operator, or the provider's package, chose the address; else a workflow did."""

    model: str
    provider: str | None
    base_url: str | None
    api_key: str | None = field(repr=False)
    operators: bool


def endpoint_for(params: AgentParams, environ: Mapping[str, str] | None = None) -> Endpoint:
    """Join params and the operator's defaults. Raises PermanentError for no model and bad URLs.

    The operator's key goes only to the operator's own server: a workflow that names another base_url brings its own
    key, or none, because the right to write workflows is not the right to read the operator's key.
    """
    env = os.environ if environ is None else environ
    name = params.model or env.get("AICFLOW_AGENT_MODEL")
    if not name:
        raise PermanentError(
            "The agent has no model.",
            code="no-model",
            pointer="/model",
            hint="Set `model` (such as openai:gpt-5-mini), or AICFLOW_AGENT_MODEL where the engine runs.",
        )
    operator_url = env.get("AICFLOW_AGENT_BASE_URL") or None
    operator_key = env.get("AICFLOW_AGENT_API_KEY") or None
    prefix, colon, rest = name.partition(":")
    provider = prefix if colon and prefix in _PROVIDERS else None
    base_url = params.base_url or (operator_url if provider in (None, "openai") else None)
    if provider is None and base_url is not None:
        provider = "openai"
    elif provider is not None:
        name = rest
    operators = params.base_url in (None, operator_url)
    if not operators:
        key: str | None = params.api_key or PLACEHOLDER_KEY
    elif base_url is not None:
        key = params.api_key or operator_key or env.get("OPENAI_API_KEY") or PLACEHOLDER_KEY
    else:
        key = params.api_key or (operator_key if provider in (None, "openai") else None)
    if base_url is not None:
        _check_url(base_url)
    return Endpoint(name, provider, base_url, _header_safe(key), operators)


def _check_url(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise PermanentError(
            "base_url is not an http or https URL.",
            code="bad-base-url",
            pointer="/base_url",
            hint="Write it up to and with /v1, such as http://localhost:11434/v1.",
        )


def _header_safe(key: str | None) -> str | None:
    """The key without the line break that files end with. Raises PermanentError for what no header can carry."""
    if key is None:
        return None
    key = key.strip()
    if not key or not all(33 <= ord(character) <= 126 for character in key):
        raise PermanentError(
            "The API key is empty or holds characters that no key has (spaces, line breaks, letters beyond ASCII).",
            code="bad-key",
            pointer="/api_key",
            hint="Store the key again, alone.",
        )
    return key


def secret_keys(endpoint: Endpoint, environ: Mapping[str, str] | None = None) -> set[str]:
    """The keys that must not be shown: this endpoint's, and those in the environment, which other providers' packages
    read."""
    env = os.environ if environ is None else environ
    found = {value.strip() for name, value in env.items() if name.endswith("_API_KEY")}
    found.add(endpoint.api_key or "")
    return found - {"", PLACEHOLDER_KEY}
