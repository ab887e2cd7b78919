"""A node type whose check takes its time holds up nobody but who asked. Shown by the order of events, not by time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from aicflow import Context, Issue, Node, Params

from .conftest import ECHO, Host, run_host, test_plugins


class Slow(Node[Params, None]):
    """Its check ends when the test lets it."""

    type_id = "test.slow"
    entered: ClassVar[threading.Semaphore]
    leave: ClassVar[threading.Event]
    threads: ClassVar[set[str]]

    async def run(self, ctx: Context, params: Params) -> None:
        return None

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        cls.threads.add(threading.current_thread().name)
        cls.entered.release()
        assert cls.leave.wait(30), "the test never let the check end"
        return ()


SLOW = {"aicflow": 1, "name": "slow", "nodes": [{"id": "s", "type": "test.slow"}]}


@pytest.fixture
def host(tmp_path: Any) -> Iterator[Host]:
    Slow.entered, Slow.leave, Slow.threads = threading.Semaphore(0), threading.Event(), set()
    plugins = test_plugins()
    plugins.registry.register(Slow)
    with run_host(tmp_path / "data", store="memory://", plugins=plugins) as running:
        try:
            yield running
        finally:
            Slow.leave.set()


def test_other_requests_are_answered_while_checks_go_on(host: Host) -> None:
    host.save(ECHO, id="echo")
    with ThreadPoolExecutor(20) as askers:
        waiting = [askers.submit(host.client.post, "/workflows/validate", json=SLOW) for _ in range(9)]
        saving = askers.submit(host.client.post, "/workflows", json=SLOW, params={"id": "slow"})
        assert Slow.entered.acquire(timeout=20)
        assert host.client.get("/workflows").status_code == 200
        assert host.start("echo", 7)["output"] == 7
        assert host.client.patch("/node-types/test.echo", json={"default_params": {"value": 1}}).status_code == 200
        host.runtime.registry.register(type("Later", (Slow,), {"type_id": "test.later"}))
        # what shares the loop's own threads goes on too, however many checks there are
        assert host.do(_look_up())
        assert not any(asked.done() for asked in [*waiting, saving])
        Slow.leave.set()
        assert [asked.result().json() for asked in waiting] == [{"valid": True, "issues": []}] * 9
        assert saving.result().status_code == 201
    assert len(Slow.threads) > 1, "checks wait for each other"


async def _look_up() -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
