"""A real server with the secrets of its senders, and what stories need of it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from tests.support.server import Server, running_server

STANDARD = "whsec_" + base64.b64encode(b"a secret of standard webhooks").decode()
SECRETS = {
    "AICFLOW_SECRET_STANDARD": STANDARD,
    "AICFLOW_SECRET_STANDARD_OLD": "whsec_" + base64.b64encode(b"the secret before it").decode(),
    "AICFLOW_SECRET_GITHUB": "It's a Secret to Everybody",
    "AICFLOW_SECRET_STRIPE": "whsec_stripe_signs_with_the_text",
    "AICFLOW_SECRET_SLACK": "8f742231b10e8888abcd99yyyzzz85a5",
    "AICFLOW_SECRET_PLAIN": "a key of one's own",
    "AICFLOW_SECRET_KEY": "key-one",
    "AICFLOW_SECRET_PASSWORD": "päss:word",
}

LIGHT = {"AICFLOW_ENGINE": "native", "AICFLOW_BLOCKED_PLUGINS": "agent,http,python"}
"""For servers that only have to start quickly."""


@dataclass
class Site:
    """A server, a client of its API, and one of its webhooks."""

    server: Server
    api: httpx2.Client = field(init=False)
    web: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.api = httpx2.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=30)
        self.web = httpx2.Client(base_url=f"{self.server.url}/hooks", timeout=30)

    def close(self) -> None:
        self.api.close()
        self.web.close()

    def save(self, document: dict[str, Any], **query: Any) -> str:
        """Save a workflow; gives its id."""
        answer = self.api.post("/workflows", json=document, params=query)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def replace(self, workflow_id: str, document: dict[str, Any]) -> int:
        """Save a new version; gives its number."""
        answer = self.api.put(f"/workflows/{workflow_id}", json=document, headers={"if-match": "*"})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    def executions(self, workflow_id: str) -> list[dict[str, Any]]:
        """All of a workflow, newest first."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"workflow_id": workflow_id, "limit": 200, **({"cursor": cursor} if cursor else {})}
            page = self.api.get("/executions", params=query).json()
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution, once it has ended."""
        return until(
            lambda: (one := self.api.get(f"/executions/{execution_id}").json())["finished_at"] and one,
            f"the end of {execution_id}",
        )

    def deliveries(self, binding_id: str) -> list[dict[str, Any]]:
        """What arrived, newest first."""
        answer = self.api.get(f"/triggers/{binding_id}/deliveries", params={"limit": 200})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])


def until[T](condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Wait for something to become true; gives it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for a file of stories."""
    with running_server(tmp_path_factory.mktemp("data"), SECRETS) as server:
        found = Site(server)
        yield found
        found.close()


def hooked(path: str, *, name: str = "hooked", output: Any = "${{ input }}", **params: Any) -> dict[str, Any]:
    """A workflow with one webhook, which gives back what it was given."""
    return {
        "aicflow": 1,
        "name": name,
        "triggers": [{"id": "hook", "type": "trigger.webhook", "params": {"path": path, **params}}],
        "nodes": [{"id": "say", "type": "webhook.respond", "params": {"body": "${{ input }}"}}],
        "output": output,
    }
