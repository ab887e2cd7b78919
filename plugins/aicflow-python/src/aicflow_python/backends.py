"""Chooses the sandbox: the first backend the operator names that works here. Nothing else is ever tried."""

from __future__ import annotations

import logging

from aicflow_python.sandbox import Layers, ProcessSandbox, Sandbox, SandboxUnavailable, WorkerSandbox
from aicflow_python.settings import PythonSettings

__all__ = ["open_sandbox", "probe"]

log = logging.getLogger(__name__)


async def open_sandbox(settings: PythonSettings) -> Sandbox:
    """A started sandbox. Raises SandboxUnavailable with what each backend said."""
    refusals = []
    for name in settings.backends:
        sandbox = make(name, settings)
        try:
            await sandbox.start()
        except SandboxUnavailable as error:
            refusals.append(f"{name}: {error}")
            continue
        except BaseException:  # cancelled half-way: leave no process behind
            await sandbox.close()
            raise
        if name != "process":
            log.warning("Python nodes run in the %s backend: %s", name, sandbox.layers().assurance)
        return sandbox
    raise SandboxUnavailable("No sandbox is available. " + " ".join(refusals))


async def probe(settings: PythonSettings | None = None) -> Layers:
    """Which protections Python nodes have on this machine, by trying; for doctor and readiness. Raises nothing."""
    settings = settings or PythonSettings.from_environment()
    try:
        sandbox = await open_sandbox(settings)
    except SandboxUnavailable as error:
        return Layers(settings.backends[0], ready=False, reason=str(error))
    try:
        return sandbox.layers()
    finally:
        await sandbox.close()


def make(name: str, settings: PythonSettings) -> Sandbox:
    """A backend by name, not started."""
    if name == "process":
        return ProcessSandbox(
            ceiling=settings.ceiling,
            environments=settings.environments,
            warm=settings.warm,
            max_children=settings.places,
            idle_timeout=settings.idle_timeout,
            required=settings.require,
        )
    return WorkerSandbox(
        "trusted" if name == "trusted" else "restricted",
        ceiling=settings.ceiling,
        environments=settings.environments,
        max_workers=settings.places,
        idle_timeout=settings.idle_timeout,
    )
