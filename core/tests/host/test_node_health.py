"""What node types say of themselves stands in /readyz, and never decides whether the host is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx2
import pytest
from aicflow import Context, Node, Params
from aicflow.host.node_health import NodeHealth
from aicflow.kernel.registry import Registry

from .conftest import Host, run_host, test_plugins


class Patient(Node[Params, str]):
    """Says what the test lets it say."""

    type_id = "test.patient"
    says: ClassVar[Any] = {"ready": True}
    asked: ClassVar[int] = 0
    started: ClassVar[list[Any]] = []

    async def start(self) -> None:
        self.started.append(self)

    async def run(self, ctx: Context, params: Params) -> str:
        return "well"

    async def health(self) -> Mapping[str, Any] | None:
        type(self).asked += 1
        if isinstance(self.says, asyncio.Event):
            await self.says.wait()
            return {"ready": True, "waited": True}
        if isinstance(self.says, Exception):
            raise self.says
        return self.says  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A host with a patient."""
    plugins = test_plugins()
    plugins.registry.register(Patient)
    with run_host(tmp_path_factory.mktemp("data"), store="memory://", plugins=plugins) as running:
        yield running


def readyz(host: Host, key: str | None = None) -> httpx2.Response:
    return httpx2.get(host.url + "/readyz", headers={"x-api-key": key} if key else {})


def test_a_type_that_cannot_run_is_told_and_the_host_stays_ready(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "says", {"ready": False, "reason": "no /opt/moat here", "layers": {"moat": None}})
    answer = readyz(host, host.key)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["degraded"] == ["test.patient"]
    assert answer.json()["node_types"] == {
        "test.patient": {"ready": False, "reason": "no /opt/moat here", "layers": {"moat": None}}
    }


@pytest.mark.parametrize("key", [None, "aicf_nonsense"])
def test_who_has_no_key_learns_only_whether_it_is_ready(
    host: Host, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "says", {"ready": False, "reason": "no /opt/moat here"})
    assert readyz(host, key).json()["node_types"] == {"test.patient": {"ready": False}}
    assert "moat" not in readyz(host, key).text


def test_types_with_nothing_to_say_are_not_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "says", None)
    assert readyz(host, host.key).json()["node_types"] == {}


@pytest.mark.parametrize(
    "says", [ZeroDivisionError("secret"), {"ready": True, "odd": object()}, {"number": float("nan")}]
)
def test_a_health_check_that_fails_counts_as_not_ready(host: Host, says: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "says", says)
    said = readyz(host, host.key).json()["node_types"]["test.patient"]
    assert said["ready"] is False
    assert said["reason"].startswith("its health check failed")
    assert "secret" not in said["reason"]


def test_a_disabled_type_is_nobodys_trouble(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "says", {"ready": False})
    assert host.client.patch("/node-types/test.patient", json={"enabled": False}).status_code == 200
    try:
        assert readyz(host, host.key).json()["degraded"] == []
    finally:
        host.client.patch("/node-types/test.patient", json={"enabled": True})


def test_the_instance_that_runs_steps_is_the_one_that_is_asked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def health(self: Patient) -> Mapping[str, Any]:
        asked.append(self)
        return {"ready": True}

    monkeypatch.setattr(Patient, "health", health)
    readyz(host)
    host.save({"aicflow": 1, "name": "p", "nodes": [{"id": "p", "type": "test.patient"}]}, id="p")
    assert host.start("p")["status"] == "succeeded"
    readyz(host)
    assert len(asked) == 2
    assert asked[0] is asked[1] is Patient.started[-1]


async def test_a_slow_answer_holds_nobody_and_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.register(Patient)
    patient = Patient()
    monkeypatch.setattr(Patient, "says", asyncio.Event())
    monkeypatch.setattr(Patient, "asked", 0)
    health = NodeHealth(registry, lambda cls: patient.health())
    first, second = await asyncio.gather(health.results(0.01), health.results(0.01))
    assert first == second == {"test.patient": {"ready": None, "reason": "it has not answered yet"}}
    assert Patient.asked == 1
    Patient.says.set()
    assert (await health.results(5))["test.patient"] == {"ready": True, "waited": True}
    assert Patient.asked == 1, "the answer to the first question was thrown away"
    await health.results(5)
    assert Patient.asked == 2
    await health.close()


async def test_what_was_known_is_told_while_a_new_answer_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.register(Patient)
    health = NodeHealth(registry, lambda cls: Patient().health())
    monkeypatch.setattr(Patient, "says", {"ready": False, "reason": "closed"})
    await health.results(5)
    monkeypatch.setattr(Patient, "says", asyncio.Event())
    assert (await health.results(0.01))["test.patient"] == {"ready": False, "reason": "closed"}
    await health.close()
