"""`aicflow run`: one execution of a workflow file in this process, without a server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from aicflow.cli.say import File, Input, Output, complain, print_json

if TYPE_CHECKING:
    from aicflow.engine import Executions
    from aicflow.engine.files import Files
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
    attach: Annotated[
        list[str] | None, Parameter(help="NAME=PATH: give this file as input.NAME; may be repeated", negative="")
    ] = None,
    save: Annotated[Path | None, Parameter(help="Copy the files of the output into this folder")] = None,
    store: Annotated[str | None, Parameter(help="Keep it in this store, such as sqlite:///runs.db")] = None,
    output: Output = "text",
) -> int:
    """Run a workflow file here and show its steps as they happen.

    Progress goes to standard error, the output to standard output. Leaves with 0 when it succeeded, 1 when it failed,
    2 when the file or the input is wrong, 130 when it was cancelled with Ctrl-C. Files that it makes are
    gone with it, but for those of its output with `--save`, and all of them with `--keep`.
    """
    from aicflow.cli.files import list_errors, load_settings, read_input, read_workflow
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.logs import set_up_logging
    from aicflow.language.validation import validate

    document = read_workflow(file)
    value = read_input(input)
    attached = _attached(attach or [], value)
    server_secret, url, folder = None, store or "memory://", None
    if keep or store is not None:
        data = load_settings().data
        server_secret = data.server_secret()
        url = store or f"sqlite:///{data.path / 'runs.db'}"
    engine = engine or os.environ.get("AICFLOW_ENGINE") or "auto"  # reading every setting takes longer than most runs
    plugins = quiet_plugins()
    list_errors(file, document, validate(document.value, plugins.registry))
    set_up_logging("error", "%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aicflow").setLevel(logging.CRITICAL)  # failures are reported below
    return asyncio.run(
        _run(file, document.value, value, engine, plugins, url, server_secret, output, attached, save, folder)
    )


async def _run(
    file: str,
    document: dict[str, Any],
    value: Any,
    engine: str,
    plugins: Plugins,
    url: str,
    server_secret: bytes | None,
    output: str,
    attached: dict[str, Path],
    save: Path | None,
    folder: Path | None,
) -> int:
    from aicflow.engine import EngineOptions
    from aicflow.engine.clock import SystemClock
    from aicflow.engine.files import Files
    from aicflow.host.wiring import make_executions, make_store
    from aicflow.store.contents import FolderContents, TemporaryContents

    async with AsyncExitStack() as stack:
        store = make_store(plugins, url)
        await store.open()
        stack.push_async_callback(store.close)
        options = EngineOptions(engine=engine, grace=2.0)
        files = Files(
            store.files,
            FolderContents(folder / "runs.files") if folder is not None else TemporaryContents(),
            SystemClock(),
        )
        executions = make_executions(plugins, store, options, server_secret=server_secret, files=files)
        await executions.open()
        stack.push_async_callback(executions.close)
        workflow_id = await _save(store, file, document)
        stack.push_async_callback(_switch_off, store, workflow_id)
        if attached:
            value = {**(value or {}), **{name: await _upload(files, path) for name, path in attached.items()}}
        started = await executions.start(workflow_id, value, engine=document.get("settings", {}).get("engine"))
        interrupted = await _follow(executions, started.execution_id, [n["id"] for n in document["nodes"]], output)
        execution = await executions.get(started.execution_id)
        if save is not None:
            await _save_files(files, execution.output, save)
        return await _report(executions, execution, interrupted, output)


def _attached(given: list[str], value: Any) -> dict[str, Path]:
    """Files by the names of the input that they are given as. Raises AICFlowError."""
    from aicflow.kernel.errors import AICFlowError

    found = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not name or not equals:
            raise AICFlowError(f"{one!r} is not NAME=PATH.", hint="Such as --attach orders=orders.csv")
        if not Path(path).is_file():
            raise AICFlowError(f"There is no file {path}.")
        found[name] = Path(path)
    if found and not isinstance(value, dict | None):
        raise AICFlowError("Files are attached to an input that is an object.", hint="Give --input '{…}', or none.")
    return found


async def _upload(files: Files, path: Path) -> dict[str, Any]:
    """The file as an input names it."""
    from aicflow.engine.files import CHUNK, file_of

    async def pieces() -> AsyncIterator[bytes]:
        source = await asyncio.to_thread(path.open, "rb")
        with source:
            while data := await asyncio.to_thread(source.read, CHUNK):
                yield data

    record = await files.write(pieces(), name=path.name, lifetime=86_400.0)
    return file_of(record).model_dump()


async def _save_files(files: Files, output: Any, folder: Path) -> None:
    """Copy the files that the output names into the folder, under their names."""
    from aicflow.cli.say import note
    from aicflow.engine.files import clean_name, named_files

    for _, file in named_files(output):
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        target = folder / (clean_name(file.get("name")) or file["$blob"])
        with await asyncio.to_thread(target.open, "wb") as copy:
            async for data in files.read(await files.store.get(file["$blob"])):
                await asyncio.to_thread(copy.write, data)
        note(f"Saved {target}.")


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
        place = f" (line {error.line})" if error.line is not None else ""
        line = "" if error.message.endswith(place) else place
        complain(f"{where}{error.message}{line}", hint=error.hint)
    if execution.status == "succeeded":
        return 0
    return 130 if interrupted and execution.status == "cancelled" else 1
