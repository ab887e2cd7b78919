"""`aicflow run`: one execution of a workflow file in this process, without a server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from aicflow.cli.say import File, Input, Output, complain, print_json

if TYPE_CHECKING:
    from aicflow.engine import Executions
    from aicflow.host.plugins import Plugins
    from aicflow.kernel.execution import Execution
    from aicflow.kernel.ports.store import Store


def run_command(
    file: File,
    /,
    *,
    input: Input = None,
    engine: Annotated[str | None, Parameter(help="auto, langgraph or native")] = None,
    keep: Annotated[bool, Parameter(help="Keep the execution in runs.db in the data folder", negative="")] = False,
    store: Annotated[str | None, Parameter(help="Keep it in this store, such as sqlite:///runs.db")] = None,
    output: Output = "text",
) -> int:
    """Run a workflow file here and show its steps as they happen.

    Progress goes to standard error, the output to standard output. Leaves with 0 when it succeeded, 1 when it failed,
    2 when the file or the input is wrong, 130 when it was cancelled with Ctrl-C.
    """
    from aicflow.cli.files import list_errors, load_settings, read_input, read_workflow
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.logs import set_up_logging
    from aicflow.language.validation import validate

    document = read_workflow(file)
    value = read_input(input)
    server_secret, url = None, store or "memory://"
    if keep or store is not None:
        from aicflow.host.datadir import DataDir

        folder = load_settings().data_dir
        server_secret = DataDir(folder).server_secret()
        url = store or f"sqlite:///{folder / 'runs.db'}"
    engine = engine or os.environ.get("AICFLOW_ENGINE") or "auto"  # reading every setting takes longer than most runs
    plugins = quiet_plugins()
    list_errors(file, document, validate(document.value, plugins.registry))
    set_up_logging("error", "%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aicflow").setLevel(logging.CRITICAL)  # failures are reported below
    return asyncio.run(_run(file, document.value, value, engine, plugins, url, server_secret, output))


async def _run(
    file: str,
    document: dict[str, Any],
    value: Any,
    engine: str,
    plugins: Plugins,
    url: str,
    server_secret: bytes | None,
    output: str,
) -> int:
    from aicflow.engine import EngineOptions
    from aicflow.host.wiring import make_executions, make_store

    async with AsyncExitStack() as stack:
        store = make_store(plugins, url)
        await store.open()
        stack.push_async_callback(store.close)
        options = EngineOptions(engine=engine, grace=2.0)
        executions = make_executions(plugins, store, options, server_secret=server_secret)
        await executions.open()
        stack.push_async_callback(executions.close)
        workflow_id = await _save(store, file, document)
        stack.push_async_callback(_switch_off, store, workflow_id)
        started = await executions.start(workflow_id, value, engine=document.get("settings", {}).get("engine"))
        interrupted = await _follow(executions, started.execution_id, [n["id"] for n in document["nodes"]], output)
        execution = await executions.get(started.execution_id)
        return await _report(executions, execution, interrupted, output)


async def _save(store: Store, file: str, document: dict[str, Any]) -> str:
    """Keep the document under an id made from its file; running it again without changes makes no new version."""
    import re
    import time

    from aicflow.kernel.errors import NotFound

    workflow_id = "run-" + (re.sub(r"[^A-Za-z0-9_-]+", "-", Path(file).stem).strip("-")[:50] or "stdin")
    now = time.time()
    try:
        await store.workflows.update(workflow_id, now=now, document=document, enabled=True)
    except NotFound:
        await store.workflows.create(workflow_id, document, now=now)
    return workflow_id


async def _switch_off(store: Store, workflow_id: str) -> None:
    """A kept workflow must not start executing by itself when a server opens the store."""
    import time

    await store.workflows.update(workflow_id, now=time.time(), enabled=False)


async def _follow(executions: Executions, execution_id: str, node_ids: list[str], output: str) -> bool:
    """Show the execution until it ended; the first Ctrl-C cancels it. Returns whether there was one."""
    from aicflow.cli.progress import NoProgress, progress
    from aicflow.kernel.values import loads

    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, interrupted.set)
    shown = NoProgress() if output == "json" else progress(node_ids)

    async def watch() -> None:
        with shown:
            async for batch in executions.watch(execution_id):
                for event in batch:
                    shown.event(loads(event))

    async def cancel() -> None:
        await interrupted.wait()
        await executions.cancel(execution_id)

    watching, cancelling = asyncio.create_task(watch()), asyncio.create_task(cancel())
    try:
        await watching
    finally:
        cancelling.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
    return interrupted.is_set()


async def _report(executions: Executions, execution: Execution, interrupted: bool, output: str) -> int:
    """Print the outcome; returns the exit code."""
    from aicflow.host.views import execution_view, step_view

    if output == "json":
        steps = [step_view(step) for step in await executions.steps(execution.id, parent="")]
        print_json({**execution_view(execution, mask=executions.secrets.mask), "steps": steps})
    elif execution.status == "succeeded":
        print_json(execution.output)
    elif execution.error is not None:
        error = execution.error
        where = f"node {error.node_id!r}: " if error.node_id else ""
        line = f" (line {error.line})" if error.line is not None else ""
        complain(f"{where}{error.message}{line}", hint=error.hint)
    if execution.status == "succeeded":
        return 0
    return 130 if interrupted and execution.status == "cancelled" else 1
