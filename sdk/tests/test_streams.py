"""Streams survive a connection that breaks and a server that is restarted; nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow_sdk import AICFlow, AsyncAICFlow, Retry, Unauthorized, Workflow
from sdk_kit import CuttingProxy, Server, opened, serve

PATIENT = Retry(attempts=200, initial=0.05, longest=0.5)


def chatty(lines: int) -> Workflow:
    wf = Workflow("chatty")
    wf.python(f"for n in range({lines}):\n    print('line', n, 'x' * 200)\nreturn {lines}", "chat")
    return wf


def asking() -> Workflow:
    wf = Workflow("asking")
    ask = wf.wait("ask", answer_schema={"type": "string"})
    wf.output = ask.output.answer
    return wf


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxied(server: Server) -> Iterator[list[CuttingProxy]]:
    made: list[CuttingProxy] = []
    yield made
    for proxy in made:
        proxy.close()


def test_a_stream_goes_on_where_it_was_cut(
    kind: str, server: Server, client: AICFlow, proxied: list[CuttingProxy]
) -> None:
    done = client.executions.run(client.workflows.create(chatty(60)))
    proxy = CuttingProxy(server.url, [0, 400, 700, 3000, 5000, 5001])
    proxied.append(proxy)
    with opened(kind, proxy.url, server.key, retry=PATIENT) as through:
        events = list(through.executions.stream(done.id))
    assert [event.seq for event in events] == list(range(1, done.last_seq + 1))
    assert sum(event.type == "step.log" for event in events) == 60
    assert events[-1].ends
    assert proxy.connections >= 6


def test_waiting_and_results_through_a_bad_line(
    kind: str, server: Server, client: AICFlow, proxied: list[CuttingProxy]
) -> None:
    saved = client.workflows.create(chatty(3))
    proxy = CuttingProxy(server.url, [0, 10, 100])
    proxied.append(proxy)
    with opened(kind, proxy.url, server.key, retry=PATIENT) as through:
        assert through.executions.run(saved).status == "succeeded"
    assert len(list(client.executions.list(workflow_id=saved.id))) == 1  # sent several times, started once


def test_events_come_while_they_happen(kind: str, server: Server, client: AICFlow) -> None:
    execution = client.executions.start(client.workflows.create(asking()))
    seen = []
    with opened(kind, server.url, server.key) as follower, follower.executions.stream(execution.id) as events:
        for event in events:
            seen.append(event.type)
            if event.type == "step.waiting":
                client.executions.resume(execution.id, "go on")
    assert seen[-1] == "execution.succeeded"
    assert seen.index("step.waiting") < seen.index("step.succeeded")


def test_leaving_a_stream_early_lets_go_of_it(kind: str, server: Server, client: AICFlow) -> None:
    execution = client.executions.start(client.workflows.create(asking()))
    with opened(kind, server.url, server.key) as follower:
        with follower.executions.stream(execution.id) as events:
            assert next(events).seq == 1
        assert list(events) == []
    client.executions.cancel(execution.id)


@pytest.mark.slow
def test_a_restarted_server_goes_on_with_the_stream(tmp_path: Path) -> None:
    seen: list[Any] = []
    waiting = threading.Event()
    failed: list[BaseException] = []

    def follow(url: str, key: str, execution_id: str) -> None:
        try:
            with AICFlow(url, key, retry=PATIENT) as follower:
                for event in follower.executions.stream(execution_id):
                    seen.append(event)
                    if event.type == "execution.waiting":
                        waiting.set()
        except BaseException as error:
            failed.append(error)
            waiting.set()

    with serve(tmp_path / "data") as first:
        port = int(first.url.rpartition(":")[2])
        with AICFlow(first.url, first.key) as client:
            execution = client.executions.start(client.workflows.create(asking()))
        thread = threading.Thread(target=follow, args=(first.url, first.key, execution.id))
        thread.start()
        assert waiting.wait(30)
        first.process.kill()
    with serve(tmp_path / "data", port=port) as second, AICFlow(second.url, second.key, retry=PATIENT) as client:
        client.executions.resume(execution.id, "still here")
        assert client.executions.wait(execution.id, timeout=30).result() == "still here"
        thread.join(30)
        last = client.executions.get(execution.id).last_seq
    assert not failed
    assert [event.seq for event in seen] == list(range(1, last + 1))


async def test_cancelling_a_task_closes_its_stream(server: Server) -> None:
    async with AsyncAICFlow(server.url, server.key) as client:
        execution = await client.executions.start(await client.workflows.create(asking()))
        first = asyncio.Event()

        async def follow() -> None:
            async for _ in client.executions.stream(execution.id):
                first.set()

        task = asyncio.create_task(follow())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waiting = asyncio.create_task(client.executions.wait(execution.id))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.executions.cancel(execution.id)


async def test_the_blocking_client_works_inside_a_running_event_loop(server: Server, client: AICFlow) -> None:
    saved = client.workflows.create(chatty(1))
    done = client.executions.run(saved)
    with client.executions.stream(done.id) as events:
        assert next(events).seq == 1
    assert [execution.id for execution in client.executions.list(workflow_id=saved.id)] == [done.id]


async def test_many_streams_at_once(server: Server) -> None:
    async with AsyncAICFlow(server.url, server.key) as client:
        saved = await client.workflows.create(chatty(5))
        started = await asyncio.gather(*(client.executions.start(saved) for _ in range(20)))

        async def count(execution_id: str) -> list[int | None]:
            return [event.seq async for event in client.executions.stream(execution_id, live=False)]

        for seqs in await asyncio.gather(*(count(execution.id) for execution in started)):
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) >= 10


def test_all_executions_can_be_followed(kind: str, server: Server, client: AICFlow) -> None:
    saved = client.workflows.create(chatty(1))
    ids: list[str] = []
    enough = threading.Event()

    def start_some() -> None:
        while not enough.wait(0.05):  # the stream shows only what happens once it is open
            ids.append(client.executions.start(saved).id)

    starter = threading.Thread(target=start_some)
    starter.start()
    with (
        opened(kind, server.url, server.key) as follower,
        follower.executions.stream_all(workflow_id=saved.id) as events,
    ):
        seen = next(events)
    enough.set()
    starter.join()
    assert seen.execution_id in ids


def test_a_ticket_opens_one_stream_of_a_page(server: Server, client: AICFlow) -> None:
    execution = client.executions.run(client.workflows.create(chatty(1)))
    made = client.ticket()
    assert made.ticket not in repr(made)
    url = f"{server.url}/api/v1/executions/{execution.id}/stream?ticket={made.ticket}"
    assert "execution.succeeded" in httpx2.get(url).text
    assert httpx2.get(url).status_code == 401


def test_a_revoked_key_ends_the_stream(server: Server, client: AICFlow) -> None:
    execution = client.executions.start(client.workflows.create(asking()))
    made = client.api_keys.create("short-lived", ["read"])
    with AICFlow(server.url, made.key, retry=PATIENT) as follower, follower.executions.stream(execution.id) as events:
        for event in events:
            if event.type == "execution.waiting":
                break
        client.api_keys.revoke(made.id)
        client.executions.resume(execution.id, "on")
        with pytest.raises(Unauthorized):
            list(events)
