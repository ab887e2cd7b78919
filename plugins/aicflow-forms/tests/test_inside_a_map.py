"""Each item of a map waits for its own answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow.host.app import create_app
from aicflow.host.settings import Settings


@pytest.mark.parametrize("engine", ["native", "langgraph"])
async def test_each_item_has_a_link(tmp_path: Path, engine: str) -> None:
    ask = {"id": "ask", "type": "form.wait", "params": {"title": "Is ${{ one }} good?"}}
    each = {
        "id": "each",
        "map": {
            "over": ["a", "b", "c"],
            "as": "one",
            "concurrency": 2,
            "nodes": [ask],
            "output": "${{ nodes.ask.output.choice }}",
        },
    }
    app = create_app(Settings(data_dir=tmp_path, engine=engine))
    async with app.router.lifespan_context(app):
        runtime = app.state.runtime
        document = {"aicflow": 1, "name": "forms", "nodes": [each], "edges": []}
        await runtime.store.workflows.create("wf_each", document, now=runtime.clock.now())
        execution_id = (await runtime.executions.start("wf_each", None)).execution_id
        headers = {"authorization": f"Bearer {(tmp_path / 'admin.key').read_text().strip()}"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://test", headers=headers
        ) as web:

            async def link(step_id: str) -> str:
                async with asyncio.timeout(20):
                    while True:
                        answer = await web.get(f"/form-links/{execution_id}/{step_id}")
                        if answer.status_code == 200:
                            found: str = answer.json()["data"][0]["link"]
                            return found
                        await asyncio.sleep(0.01)

            choices: dict[int, Any] = {0: "approve", 1: "reject", 2: "approve"}
            for index, choice in choices.items():
                url = await link(f"each[{index}].ask")
                assert f"Is {'abc'[index]} good?" in (await web.get(url)).text
                sent = await web.post(url, data={"choice": choice})
                assert sent.status_code == 200, sent.text
                assert (await web.post(url, data={"choice": choice})).status_code == 410
        ended = await runtime.executions.wait(execution_id, 20)
        assert ended is not None
        assert ended.output["items"] == ["approve", "reject", "approve"]
