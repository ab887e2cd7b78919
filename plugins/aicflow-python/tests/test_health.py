"""What the Python node tells operators: the backend, its layers, and why it is not ready."""

from __future__ import annotations

import pytest
from aicflow import AICFlowError
from aicflow_python import PythonCode, PythonSettings, node, probe
from aicflow_python.settings import PREFIX, VARIABLES


async def test_before_the_first_step_it_tries_and_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[PythonSettings | None] = []
    real = probe

    async def counted(settings: PythonSettings | None = None) -> object:
        tries.append(settings)
        return await real(settings)

    monkeypatch.setattr("aicflow_python.node.probe", counted)
    python = PythonCode(PythonSettings(warm=1))
    first, again = await python.health(), await python.health()
    assert len(tries) == 1
    assert first == again
    assert (first["ready"], first["backend"]) == (True, "process")
    assert {"seccomp", "rlimits", "no_new_privs"} <= first["active"].keys()
    assert "note" not in first
    monkeypatch.setattr(node, "PROBE_SECONDS", -1.0)
    await python.health()
    assert len(tries) == 2


async def test_what_it_remembers_gives_way_to_the_sandbox_that_runs() -> None:
    python = PythonCode(PythonSettings(warm=1))
    await python.start()
    try:
        assert (await python.health())["ready"] is True
        assert python._probed is None
    finally:
        await python.stop()


async def test_a_sandbox_that_fails_closed_says_why() -> None:
    said = await PythonCode(PythonSettings(require=("moat",))).health()
    assert said["ready"] is False
    assert "moat" in said["reason"]


async def test_a_weaker_backend_is_noted() -> None:
    said = await PythonCode(PythonSettings(backends=("restricted",))).health()
    assert said["ready"] is True
    assert "no boundary" in said["note"]
    assert "seccomp" in said["missing"]


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_that_is_described_is_read(name: str) -> None:
    assert name.startswith(PREFIX)
    with pytest.raises(AICFlowError, match=name):
        PythonSettings.from_environment({name: "; what?"})
