"""The node type python.code: an author's Python, run in a sandbox."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from aicflow import Context, Issue, Node, PermanentError, TransientError

from aicflow_python.failures import ERRORS, errors_of, node_error
from aicflow_python.files import StepFiles
from aicflow_python.params import PythonParams
from aicflow_python.sandbox import (
    Call,
    Layers,
    Limits,
    LogLine,
    ProcessSandbox,
    Sandbox,
    SandboxUnavailable,
    WorkerSandbox,
)
from aicflow_python.settings import VARIABLES, PythonSettings
from aicflow_python.static_checks import check_params, over_ceiling

log: Final = logging.getLogger(__name__)

ASKED: Final = ("timeout", "cpu_seconds", "memory_mb")
"""Limits that a node may lower."""
RESERVED = frozenset({"self", "message", "level"})
PROBE_SECONDS: Final = (
    300.0  # trying costs a fifth of a second of processor time, and health checks come every few seconds
)


class PythonCode(Node[PythonParams, Any]):
    """Run Python over the execution's data, in a sealed process.

    `code` is the body of a function. It reads `inputs`, may import a fixed set of standard-library modules, may use
    `await`, and returns the node's output, a JSON value. `print(…)` and `log("text", level="info", **fields)` become
    lines of the step's log. It has no file system, no network, no environment and no other processes. References never
    go into the code itself: give values in `inputs`.

    A file among the inputs is an object with `name`, `type`, `size`, `open("r" or "rb")`, `read()` and `text()`;
    `files.create("report.csv")` makes one to `write` to and to return.

    Give the node an `output_schema` to have what it returns checked, and references to it validated.
    """

    type_id = "python.code"
    title = "Python"
    category = "code"
    pure: ClassVar[bool] = True  # nothing that runs inside can change anything outside
    variables: ClassVar[Mapping[str, str]] = VARIABLES
    errors: ClassVar[Mapping[str, str]] = ERRORS

    def __init__(self, settings: PythonSettings | None = None) -> None:
        self._settings = settings
        self._sandbox: Sandbox | None = None
        self._probed: tuple[float, Layers] | None = None
        self._probing = asyncio.Lock()

    @classmethod
    def output_limits(cls) -> Mapping[str, int]:
        """What the operator lets a call return."""
        return {"AICFLOW_PYTHON_RESULT_BYTES": PythonSettings.from_environment().ceiling.result_bytes}

    @property
    def settings(self) -> PythonSettings:
        """The operator's settings, read when first needed."""
        if self._settings is None:
            self._settings = PythonSettings.from_environment()
        return self._settings

    async def start(self) -> None:
        """Open the sandbox. Raises PermanentError when there is none that the operator allows."""
        try:
            self._sandbox = await open_sandbox(self.settings)
        except SandboxUnavailable as error:
            raise PermanentError(
                str(error),
                code="sandbox-unavailable",
                hint="Nothing was run. `aicflow doctor` says what is missing on this machine.",
            ) from None

    async def stop(self) -> None:
        """Close the sandbox."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            await sandbox.close()

    async def release(self, execution_id: str) -> None:
        """End the process of an execution."""
        if self._sandbox is not None:
            await self._sandbox.release(execution_id)

    async def run(self, ctx: Context, params: PythonParams) -> Any:
        """Run the code once. Raises CodeRaised, PermanentError or TransientError with the line in question."""
        if self._sandbox is None:
            raise TransientError("The Python sandbox is not open.", code="sandbox-unavailable")
        turn = (ctx.workflow_id, ctx.execution_id)
        limits = self._limits(params)
        files = StepFiles(ctx, params.inputs, limits.file_bytes)
        call = Call(params.code, params.inputs, limits, params.environment, turn, files)
        # Code that a model wrote never meets the author's in one process, whatever its params ask for.
        scope = ctx.execution_id if params.scope == "execution" and not ctx.untrusted else None
        try:
            outcome = await self._sandbox.call(call, scope, writer(ctx))
        except SandboxUnavailable as error:
            raise TransientError(str(error), code="sandbox-unavailable") from None
        finally:
            await files.close()
        if outcome.failure is not None:
            raise node_error(outcome.failure)
        return outcome.value

    def layers(self) -> Layers:
        """Which protections stand, for doctor and readiness."""
        if self._sandbox is None:
            return Layers(self.settings.backends[0], ready=False, reason="not started")
        return self._sandbox.layers()

    async def health(self) -> Mapping[str, Any]:
        """The backend, its layers, and why it is not ready. Before the first step a sandbox is opened and closed to
        find out; the result is kept for five minutes."""
        layers = self._sandbox.layers() if self._sandbox is not None else await self._tried()
        found: dict[str, Any] = {"ready": layers.ready, "backend": layers.backend}
        if layers.reason is not None:
            found["reason"] = layers.reason
        if layers.ready and layers.backend != "process":
            found["note"] = layers.assurance
        return {**found, "active": dict(layers.active), "missing": dict(layers.missing)}

    async def _tried(self) -> Layers:
        async with self._probing:
            if self._probed is None or time.monotonic() - self._probed[0] > PROBE_SECONDS:
                self._probed = (time.monotonic(), await probe(self.settings))
            return self._probed[1]

    @classmethod
    def errors_for(cls, params: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The codes, and the exception types that the code may raise."""
        return errors_of(params)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Syntax, imports, environment and limits."""
        return check_params(params)

    def _limits(self, params: PythonParams) -> Limits:
        ceiling = self.settings.ceiling
        asked = {name: value for name in ASKED if (value := getattr(params, name)) is not None}
        for name, value in asked.items():
            message = over_ceiling(name, value, self.settings)
            if message:
                raise PermanentError(message, code="limit-above-ceiling", pointer=f"/{name}")
        return replace(ceiling, **asked) if asked else ceiling


class TrustedPythonCode(PythonCode):
    """Run Python over the execution's data, without a sandbox.

    The operator has switched the sandbox off: the code can do what the server can. See python.code's documentation.
    """

    pure = False


def writer(ctx: Context) -> Callable[[tuple[LogLine, ...]], None]:
    """Hands log lines to the step's log as they come."""

    def write(lines: tuple[LogLine, ...]) -> None:
        for line in lines:
            fields = {name: value for name, value in (line.fields or {}).items() if name not in RESERVED}
            ctx.log(line.message, level=line.level, **fields)

    return write


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
