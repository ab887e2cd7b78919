"""Deliveries in a storm, with the server killed on the way: what was answered has its execution, and none has two."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.triggers.conftest import LIGHT, Site, hooked, until
from tests.support.server import Server, start_server

DELIVERIES = int(os.environ.get("AICFLOW_TEST_DELIVERIES", "1500"))
AT_ONCE = 50
KILLS = 2


async def deliver(server: Server, waiting: list[str], answered: dict[str, str], kill_after: int | None) -> None:
    """Send what waits, `AT_ONCE` at a time, until everything is answered or the server is gone. What got no answer
    waits again, as senders do."""
    queue = list(waiting)
    unsure: list[str] = []
    limits = httpx2.Limits(max_connections=AT_ONCE)
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, limits=limits) as client:

        async def sender() -> None:
            while queue:
                delivery = queue.pop()
                try:
                    answer = await client.post("/hooks/storm", json={"n": delivery}, headers={"x-delivery": delivery})
                except httpx2.TransportError:
                    unsure.append(delivery)
                    continue
                assert answer.status_code in (200, 202), answer.text
                execution_id = answer.json()["execution_id"]
                assert answered.setdefault(delivery, execution_id) == execution_id
                if kill_after is not None and len(answered) >= kill_after and server.process.returncode is None:
                    server.kill()

        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    waiting[:] = unsure


@pytest.mark.slow
def test_every_answered_delivery_has_one_execution(tmp_path: Path) -> None:
    chance = random.Random(7)
    waiting = [f"d{number}" for number in range(DELIVERIES)]
    answered: dict[str, str] = {}
    server = start_server(tmp_path / "data", LIGHT)
    try:
        site = Site(server)
        document = hooked("storm", delivery_header="X-Delivery", output="${{ input.body.n }}")
        document["nodes"].append(
            {"id": "twice", "type": "webhook.respond", "params": {"body": "${{ nodes.say.output }}"}}
        )
        document["edges"] = [{"from": "say", "to": "twice"}]
        workflow = site.save(document)
        site.close()
        for kill in range(KILLS):
            least = len(answered) + DELIVERIES // (KILLS + 2)
            asyncio.run(deliver(server, waiting, answered, least + chance.randrange(30)))
            assert server.process.returncode is not None
            assert waiting, f"kill {kill} came too late to be one"
            server = start_server(tmp_path / "data", LIGHT)
        # some that were answered are sent again: their senders may not have heard
        heard = dict(answered)
        waiting += chance.sample(sorted(answered), 100)
        asyncio.run(deliver(server, waiting, answered, None))
        assert len(answered) == DELIVERIES
        assert waiting == []
        assert {one: answered[one] for one in heard} == heard

        site = Site(server)
        until(lambda: all(one["finished_at"] for one in site.executions(workflow)), "the end of all", 60)
        executions = site.executions(workflow)
        keys = Counter(one["trigger"]["key"] for one in executions)
        assert set(keys.values()) == {1}, keys.most_common(3)
        assert {one["trigger"]["key"]: one["id"] for one in executions} == answered
        assert {one["status"] for one in executions} == {"succeeded"}
        some = chance.sample(executions, 5)
        assert [site.ended(one["id"])["output"] for one in some] == [one["trigger"]["key"] for one in some]
        site.close()
    finally:
        server.kill()
