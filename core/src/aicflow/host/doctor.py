"""Is this installation sound? What `aicflow doctor` and `GET /doctor` say of settings, data folder, files, engine,
plugins, node types and secrets."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from aicflow_language.suggest import did_you_mean

from aicflow import __version__
from aicflow.engine.masking import is_masked
from aicflow.host.datadir import DataDir
from aicflow.host.fitting import unfitting
from aicflow.host.settings import Settings
from aicflow.host.wiring import STORE_PREFIX, engines_of, secrets_of
from aicflow.kernel.errors import AICFlowError
from aicflow.store.advice import Advised, Finding
from aicflow.store.contents import open_contents
from aicflow.store.memory import MemoryStore

if TYPE_CHECKING:
    from aicflow.host.plugins import Plugins
    from aicflow.host.runtime import HostRuntime

_PATIENCE: Final = 30.0
_CLIENT_VARIABLES: Final = frozenset({"AICFLOW_API_KEY", "AICFLOW_URL", "AICFLOW_SECRETS_DIR"})


def of_installation(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """What can be told without the store. It reads and writes files: not for an event loop."""
    yield Finding(
        "ok", "version", f"aicflow {__version__}, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    )
    yield from _variables(plugins)
    yield from _limits(settings, plugins)
    yield from _data_dir(settings)
    yield from _files(settings)
    yield from _engine(settings, plugins)
    yield from _plugins(plugins)
    yield from _short_secrets(settings, plugins)


async def of_server(runtime: HostRuntime) -> list[Finding]:
    """All that a running server can tell of itself."""
    found = await asyncio.to_thread(lambda: list(of_installation(runtime.settings, runtime.plugins)))
    try:
        await runtime.store.check()
        found.append(Finding("ok", "store", "answers"))
        if isinstance(runtime.store, Advised):
            found += await runtime.store.advice()
        found += of_secrets(await runtime.secret_service.check())
    except AICFlowError as error:
        found.append(Finding("problem", "store", error.message))
    return [*found, *of_node_types(await runtime.node_health.results(_PATIENCE))]


def _variables(plugins: Plugins) -> Iterator[Finding]:
    """Variables that no code reads are probably misspelt."""
    known = {f"AICFLOW_{name.upper()}" for name in Settings.model_fields} | _CLIENT_VARIABLES
    for node in plugins.registry.nodes():
        known.update(node.cls.variables)
    for trigger in plugins.registry.triggers():
        known.update(trigger.cls.variables)
    for name in sorted(os.environ):
        if name.startswith("AICFLOW_") and not name.startswith(("AICFLOW_SECRET_", STORE_PREFIX)) and name not in known:
            hint = did_you_mean(name, sorted(known)) or "A plugin may read it."
            yield Finding("note", "settings", f"{name} is no setting of the host or an installed node type. {hint}")


def _limits(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """Limits that let in more than the next one takes stop the start."""
    found = list(unfitting(settings, [node.cls for node in plugins.registry.nodes()]))
    for text in found:
        yield Finding("problem", "limits", text)
    if not found:
        yield Finding("ok", "limits", f"a value may have {settings.max_body_bytes:,} bytes from end to end")


def _data_dir(settings: Settings) -> Iterator[Finding]:
    data = settings.data
    if not data.path.exists():
        yield Finding("ok", "data folder", f"{data.path} is made at the first start")
        return
    if not os.access(data.path, os.W_OK | os.X_OK):
        yield Finding("problem", "data folder", f"{data.path} cannot be written to by this user")
        return
    yield Finding("ok", "data folder", str(data.path))
    if _open_to_others(data.path):
        yield Finding("problem", "data folder", f"others can enter {data.path}; run: chmod 700 {data.path}")
    for file in sorted(data.path.iterdir()):
        if file.is_file() and _open_to_others(file):
            yield Finding("problem", "data folder", f"others can read {file}; run: chmod 600 {file}")


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:  # gone meanwhile
        return False


def _files(settings: Settings) -> Iterator[Finding]:
    """Whether contents of files can be written where they are kept."""
    data = settings.data
    if not data.secret_file.exists():
        yield Finding("ok", "files", "their place is made at the first start")
        return
    try:
        contents = open_contents(settings.files_url)
        contents.open(data.files_owner())
        contents.check()
    except AICFlowError as error:
        yield Finding("problem", "files", f"{error.message} {error.hint or ''}".strip())
    except Exception as error:  # whatever a remote file system raises
        yield Finding("problem", "files", f"nothing can be written where files are kept: {error}")
    else:
        yield Finding("ok", "files", "can be written")


def _engine(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    try:
        engines_of(plugins, settings.engine)[settings.engine]()
    except AICFlowError as error:
        yield Finding("problem", "engine", error.message)
    except ImportError as error:
        yield Finding("problem", "engine", f"{settings.engine} cannot be used: {error}")
    else:
        yield Finding("ok", "engine", settings.engine)


def _plugins(plugins: Plugins) -> Iterator[Finding]:
    plugins.inspect()
    for info in plugins.infos:
        name = f"plugin {info.name}"
        if info.status == "loaded":
            brought = ", ".join([*info.node_types, *info.trigger_types])
            yield Finding("ok", name, f"{info.distribution or ''} {info.version or ''} {brought}".strip())
        if info.status == "loaded" and info.provenance is not None and not info.provenance.editable:
            for text in info.provenance.problems:
                yield Finding("problem", name, f"changed-files: {text}")
        for code, message in info.problems:
            if code == "advice":  # for the plugin's authors: `aicflow plugins` shows it
                continue
            yield Finding(
                "note" if info.status == "blocked" or code == "not-listed" else "problem", name, f"{code}: {message}"
            )


def _short_secrets(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """Secrets that are too short to be masked, and where the key of stored ones is."""
    own = DataDir(settings.data_dir).secrets_key_file
    if own.exists() and settings.secrets_key_file is None and settings.secrets_key is None:
        yield Finding("note", "secrets", f"the key of stored secrets is in {own}: a backup of the folder holds both")

    async def values() -> dict[str, str]:
        secrets = secrets_of(plugins, MemoryStore())  # the server has the real one open
        return {name: await secrets.fetch(name) for name in sorted(await secrets.names() or ())}

    try:
        found = asyncio.run(values())
    except AICFlowError as error:
        yield Finding("note", "secrets", error.message)
        return
    for name, value in found.items():
        if not is_masked(value):
            text = f"{name} is too short to be masked where it is shown; a secret needs at least 4 characters"
            yield Finding("note", "secrets", text)


def of_secrets(found: Mapping[str, Any]) -> Iterator[Finding]:
    """What the check of secrets found, in words."""
    for use in found["unresolved"]:
        where = f"node {use['node_id']}" if use["node_id"] else f"trigger {use['trigger_id']}"
        text = f"{use['name']} is there for nobody, or not for workflow {use['workflow_id']}, whose {where} uses it"
        if use["executions"]:
            text += f"; executions under way: {', '.join(use['executions'])}"
        yield Finding("problem", "secrets", text)
    for key in found["missing_keys"]:
        yield Finding("problem", "secrets", f"some are sealed under the key {key}, which the server does not have")
    if found["waiting"]:
        text = f"{found['waiting']} of {found['secrets']} wait to be sealed under the key {found['key']}"
        yield Finding("note", "secrets", f"{text}; run: aicflow secrets rotate-key")
    if not (found["unresolved"] or found["missing_keys"] or found["waiting"]):
        yield Finding("ok", "secrets", f"{found['secrets']} are stored, and all that workflows name are there")


def of_node_types(found: Mapping[str, Any]) -> Iterator[Finding]:
    """What node types say of themselves, in words."""
    for type_id, said in found.items():
        state: Literal["ok", "note", "problem"] = "problem" if said["ready"] is False else "ok"
        if said["ready"] is None or said.get("note"):
            state = "note"
        yield Finding(state, type_id, _in_words(said))


def _in_words(said: Mapping[str, Any]) -> str:
    """Health as a sentence: `ready; backend process; active: rlimits (memory), seccomp (allow-list)`."""
    words = {True: "ready", False: "not ready", None: "not known"}
    parts = [words[said["ready"]]]
    for name, value in said.items():
        if name in ("reason", "note"):
            parts.append(str(value))
        elif isinstance(value, Mapping):
            inner = ", ".join(f"{key} ({detail})" for key, detail in value.items())
            parts.append(f"{name}: {inner or 'none'}")
        elif name != "ready":
            parts.append(f"{name} {value}")
    return "; ".join(parts)
