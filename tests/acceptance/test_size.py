"""A workflow of a thousand nodes, two hundred executions at once, and what is too large: over a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.support.server import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    folder: Path = tmp_path_factory.mktemp("data")
    with running_server(folder) as found:
        yield found


def chain(count: int) -> dict[str, object]:
    """A chain of nodes, each of which reads the one before it."""
    nodes = [
        {
            "id": f"n{i}",
            "type": "logic.if_else",
            "params": {"condition": f"${{{{ nodes.n{i - 1}.output.result }}}}" if i else True},
        }
        for i in range(count)
    ]
    edges = [{"from": f"n{i}", "port": port, "to": f"n{i + 1}"} for i in range(count - 1) for port in ("true", "false")]
    return {
        "aicflow": 1,
        "name": f"chain of {count}",
        "nodes": nodes,
        "edges": edges,
        "output": f"${{{{ nodes.n{count - 1}.output.result }}}}",
    }


@pytest.mark.parametrize("engine", ["langgraph", "native"])
def test_a_thousand_nodes(server: Server, engine: str) -> None:
    with httpx2.Client(base_url=server.url, headers=server.headers, timeout=90) as client:
        saved = client.post(f"/api/v1/workflows?id=thousand_{engine}", json=chain(1000))
        assert saved.status_code == 201, saved.text[:500]
        body = {"workflow_id": f"thousand_{engine}", "engine": engine}
        execution = client.post("/api/v1/executions?wait=60", json=body).json()
        assert (execution["status"], execution["output"]) == ("succeeded", True)
        steps, query = [], {"limit": "200"}
        while query.get("cursor", "") is not None:
            page = client.get(f"/api/v1/executions/{execution['id']}/steps", params=query).json()
            steps += page["data"]
            query["cursor"] = page["next_cursor"]
        assert [step["node_id"] for step in steps] == [f"n{i}" for i in range(1000)]
        assert {step["status"] for step in steps} == {"succeeded"}


async def test_two_hundred_at_once(server: Server) -> None:
    async with httpx2.AsyncClient(base_url=server.url, headers=server.headers, timeout=90) as client:
        saved = await client.post("/api/v1/workflows?id=many", json=chain(3))
        assert saved.status_code == 201
        answers = await asyncio.gather(
            *[client.post("/api/v1/executions?wait=60", json={"workflow_id": "many", "input": i}) for i in range(200)]
        )
        assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "succeeded")}
        assert sorted(answer.json()["input"] for answer in answers) == list(range(200))


def test_seventeen_megabytes_are_refused_and_nothing_is_stored(server: Server) -> None:
    with httpx2.Client(base_url=server.url, headers=server.headers, timeout=60) as client:
        before = client.get("/api/v1/workflows").json()["data"]
        large = {**chain(1), "description": "x" * 17_000_000}
        refused = client.post("/api/v1/workflows", json=large)
        assert refused.status_code == 413
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.get("/api/v1/workflows").json()["data"] == before
