"""Node types that say `start_early` are started after the server's start when an enabled workflow uses them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from aicflow import Context, Node, Output, Params

from .conftest import Host, test_plugins


class Slow(Node[Params, Output]):
    """A type whose start takes until the test lets it go on."""

    type_id = "test.slow"
    start_early = True
    begun: ClassVar[threading.Event]
    go_on: ClassVar[threading.Event]
    starts: ClassVar[int]

    async def start(self) -> None:
        type(self).starts += 1
        self.begun.set()
        await asyncio.to_thread(self.go_on.wait, 20)

    async def run(self, ctx: Context, params: Params) -> Output:
        return Output()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Slow.begun, Slow.go_on, Slow.starts = threading.Event(), threading.Event(), 0


def _plugins() -> Any:
    plugins = test_plugins()
    plugins.registry.register(Slow)
    return plugins


WORKFLOW = {"aicflow": 1, "name": "slow", "nodes": [{"id": "a", "type": "test.slow"}]}
INSIDE = {
    "aicflow": 1,
    "name": "inside",
    "nodes": [{"id": "g", "group": {"nodes": [{"id": "a", "type": "test.slow"}]}}],
}


@pytest.mark.parametrize("document", [WORKFLOW, INSIDE])
def test_a_slow_type_starts_in_the_background_of_a_ready_server(
    new_host: Callable[..., Any], document: dict[str, Any]
) -> None:
    with new_host(plugins=_plugins()) as host:
        saved: str = host.save(document)["id"]
    assert not Slow.begun.is_set()  # nothing used it when the server started

    with new_host(plugins=_plugins()) as host:  # it is ready although the start has not ended
        assert Slow.begun.wait(20)
        assert host.client.get("/node-types").status_code == 200
        Slow.go_on.set()
        assert host.start(saved)["status"] == "succeeded"
    assert Slow.starts == 1


def test_what_only_disabled_workflows_use_starts_with_its_first_step(new_host: Callable[..., Any]) -> None:
    with new_host(plugins=_plugins()) as host:
        host.save(WORKFLOW, enabled=False)
    with new_host(plugins=_plugins()) as host:
        _settled(host)
    assert not Slow.begun.is_set()


def test_a_start_that_fails_harms_nothing(new_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with new_host(plugins=_plugins()) as host:
        saved: str = host.save(WORKFLOW)["id"]

    async def fail(self: Slow) -> None:
        raise RuntimeError("no such library")

    whole = Slow.start
    monkeypatch.setattr(Slow, "start", fail)
    with new_host(plugins=_plugins()) as host:
        _settled(host)
        monkeypatch.setattr(Slow, "start", whole)
        Slow.go_on.set()
        assert host.start(saved)["status"] == "succeeded"


def _settled(host: Host) -> None:
    def under_way() -> bool:
        return any(task.get_name() == "aicflow-warm-up" for task in asyncio.all_tasks(host.loop))

    host.until(lambda: not under_way(), "the warm-up's end")
