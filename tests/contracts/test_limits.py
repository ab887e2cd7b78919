"""Limits fit each other, the host says where they do not, and the page about them is complete and true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aicflow.engine import EngineOptions
from aicflow.host import fitting, jwks, requests, sessions, tokens
from aicflow.host.callers import TICKET_SECONDS
from aicflow.host.connections import SLOWEST_BODY, ConnectionLimits
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins
from aicflow.kernel.document import Map
from aicflow.kernel.errors import AICFlowError
from aicflow.language.validation.shape import MAX_NESTING
from aicflow_agent.conversation import LONGEST_ANSWER
from aicflow_http.params import PagePagination, ResponseOptions
from aicflow_language.expr import limits as expression
from aicflow_language.template.template import MAX_RESOLVED_TEXT
from aicflow_python.sandbox import Limits as PythonLimits
from aicflow_python.settings import VARIABLES, PythonSettings
from aicflow_trigger.webhook_params import WebhookParams
from annotated_types import MaxLen
from pydantic import BaseModel

from tests.support.server import start_server

PAGE = (Path(__file__).parents[2] / "docs/reference/limits.md").read_text()
MEASURED = re.compile(r"\d+(\.\d+)?([smhdw]|/\d*[smh])\b")
LIMITS = [
    name
    for name, field in Settings.model_fields.items()
    if (field.annotation in (int, float) and name != "port")
    or (isinstance(field.default, str) and MEASURED.search(field.default))
    or name == "retention_count"
    or name.endswith("_age")
]
NO_PYTHON_LIMITS = {"AICFLOW_PYTHON_BACKENDS", "AICFLOW_PYTHON_ENVIRONMENTS", "AICFLOW_PYTHON_REQUIRE"}
NODES = [node.cls for node in installed_plugins().registry.nodes()]


def rows(name: str) -> list[str]:
    """The lines of the page's last tables that name a setting as what sets the limit."""
    tables = PAGE.partition("## Sizes on a value's way")[2]
    return [line for line in tables.splitlines() if line.startswith("|") and f"`{name}`" in line]


def longest(model: type[BaseModel], *names: str) -> list[int]:
    """The `max_length` of fields."""
    found = [one.max_length for name in names for one in model.model_fields[name].metadata if isinstance(one, MaxLen)]
    assert len(found) == len(names)
    return found


def shown(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_every_setting_of_the_host_that_limits_is_on_the_page_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    (line,) = rows(f"AICFLOW_{name.upper()}")
    for part in re.findall(r"=(\d+\w)", default) if name == "retention_age" else [shown(default)]:
        assert part in line


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - NO_PYTHON_LIMITS))
def test_every_limit_of_python_is_on_the_page_with_its_default(name: str) -> None:
    field = name.removeprefix("AICFLOW_PYTHON_").lower()
    source: Any = PythonLimits() if hasattr(PythonLimits(), field) else PythonSettings(total_memory_mb=4096)
    lines = rows(name)
    assert len(lines) == 1
    assert field == "total_memory_mb" or shown(getattr(source, field)) in lines[0]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (WebhookParams.model_fields["max_body_bytes"].default, "body of one webhook"),
        (ResponseOptions.model_fields["max_bytes"].default, "response of `http.request`"),
        (PagePagination.model_fields["max_bytes"].default, "all pages"),
        (expression.MAX_TEXT, "text that an expression makes"),
        (expression.MAX_CHARACTERS, "characters, tokens and brackets"),
        (expression.MAX_TOKENS, "characters, tokens and brackets"),
        (expression.MAX_NESTING, "characters, tokens and brackets"),
        (expression.MAX_STEPS, "turns of all loops"),
        (MAX_RESOLVED_TEXT, "texts with expressions"),
        (LONGEST_ANSWER, "answer of a model"),
        (tokens.LONGEST, "a token (JWT)"),
        (jwks.LARGEST, "key set (JWKS) of an issuer"),
        (jwks.MOST_KEYS, "key set (JWKS) of an issuer"),
        (jwks.SHORTEST_AGE, "a key set (JWKS) counts"),
        (jwks.LONGEST_AGE, "a key set (JWKS) counts"),
        (jwks.BETWEEN_FETCHES, "an unknown key id"),
        (TICKET_SECONDS["stream"], "a ticket for a stream"),
        (TICKET_SECONDS["session"], "a ticket to sign in with"),
        (sessions.SECONDS, "a session of a browser"),
        (ConnectionLimits().headers, "headers of a request"),
        (ConnectionLimits().overhead, "headers of a request"),
        (ConnectionLimits().receive, "a request arrives"),
        (SLOWEST_BODY, "a request arrives"),
        (ConnectionLimits().stalled, "a client takes nothing"),
        *[(most, "workflows and networks") for most in longest(requests.CreateApiKey, "workflows", "addresses")],
        *[(most, "value of a stored secret") for most in longest(requests.PutSecret, "value")],
        (EngineOptions().log_limit, "a line of a step's log"),
        (EngineOptions().inline_output, "step output inside an event"),
        (EngineOptions().max_output, "output of a step"),
        (EngineOptions().max_state, "value of a workflow's state"),
        (MAX_NESTING, "bodies in bodies"),
        (Map.model_fields["max_items"].default, "items of a map |"),
        (Map.model_fields["concurrency"].default, "items of a map at once"),
    ],
)
def test_what_is_not_a_variable_stands_there_too(value: int, part: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {part}")][-1:]
    assert shown(value) in line


def test_every_pair_is_on_the_page() -> None:
    table = PAGE.partition("## Sizes")[0]
    for smaller, larger, why in fitting._PAIRS:
        assert f"| `AICFLOW_{smaller.upper()}` | `AICFLOW_{larger.upper()}` | {why} |" in table


def test_the_defaults_fit() -> None:
    assert list(fitting.unfitting(Settings(), NODES)) == []
    assert min(Settings().max_body_bytes, PythonLimits().input_bytes, PythonLimits().result_bytes) >= 10_000_000


@pytest.mark.parametrize(
    ("given", "first", "second"),
    [
        ({"max_event_bytes": 20_000_000}, "AICFLOW_MAX_EVENT_BYTES=20000000", "AICFLOW_MAX_BODY_BYTES=16777216"),
        ({"max_state_bytes": 20_000_000}, "AICFLOW_MAX_STATE_BYTES", "AICFLOW_MAX_BODY_BYTES"),
        ({"max_body_bytes": 100_000_000}, "AICFLOW_MAX_BODY_BYTES", "AICFLOW_MAX_OUTPUT_BYTES=67108864"),
        (
            {"max_output_bytes": 10_000_000, "max_body_bytes": 10_000_000},
            "AICFLOW_PYTHON_RESULT_BYTES",
            "AICFLOW_MAX_O",
        ),
        ({"max_connections": 100}, "AICFLOW_MAX_CONNECTIONS_PER_ADDRESS=128", "AICFLOW_MAX_CONNECTIONS=100"),
        ({"event_ttl": "2d", "event_age": "24h"}, "AICFLOW_EVENT_TTL=2d", "AICFLOW_EVENT_AGE=24h"),
    ],
)
def test_limits_that_do_not_fit_are_named(given: dict[str, Any], first: str, second: str) -> None:
    (sentence,) = fitting.unfitting(Settings(**given), NODES)
    assert sentence.index(first) < sentence.index(second)


def test_sizes_of_python_follow_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    small = PythonSettings.from_environment({"AICFLOW_PYTHON_MEMORY_MB": "32"})
    assert (small.ceiling.input_bytes, small.ceiling.result_bytes) == (8 << 20, 8 << 20)
    with pytest.raises(AICFlowError, match=r"INPUT_BYTES.*AICFLOW_PYTHON_MEMORY_MB=32"):
        PythonSettings.from_environment({"AICFLOW_PYTHON_MEMORY_MB": "32", "AICFLOW_PYTHON_INPUT_BYTES": "9000000"})


def test_a_host_whose_limits_do_not_fit_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="AICFLOW_MAX_BODY_BYTES=100000000 is more than AICFLOW_MAX_OUTPUT_BYTES"):
        start_server(tmp_path / "data", {"AICFLOW_MAX_BODY_BYTES": "100000000", "AICFLOW_BLOCKED_PLUGINS": "agent"})
