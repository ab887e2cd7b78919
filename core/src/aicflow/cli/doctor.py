"""`aicflow doctor`: is this installation sound?"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from aicflow import __version__
from aicflow.cli.say import Output, print_json
from aicflow.kernel.errors import AICFlowError
from aicflow.store.advice import Advised, Finding

if TYPE_CHECKING:
    from aicflow.host.plugins import Plugins
    from aicflow.host.settings import Settings

_PATIENCE: Final = 30.0
_CLIENT_VARIABLES = frozenset({"AICFLOW_API_KEY", "AICFLOW_URL", "AICFLOW_SECRETS_DIR"})


def doctor_command(
    *,
    data_dir: Annotated[Path | None, Parameter(help="Folder of the database and the keys")] = None,
    output: Output = "text",
) -> int:
    """Check settings, data folder, store, engine, plugins and node types. Leaves with 1 when there is a problem."""
    from aicflow.cli.files import load_settings
    from aicflow.cli.plugins import quiet_plugins

    settings = load_settings(data_dir=data_dir)
    plugins = quiet_plugins(policy=settings.plugin_policy)
    findings = [
        Finding(
            "ok", "version", f"aicflow {__version__}, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
        ),
        *_variables(plugins),
        *_limits(settings, plugins),
        *_data_dir(settings),
        *_server_or_store(settings, plugins),
        *_advice(settings, plugins),
        *_files(settings),
        *_engine(settings, plugins),
        *_plugins(plugins),
        *_node_types(settings, plugins),
        *_secrets(settings, plugins),
    ]
    problems = sum(finding.state == "problem" for finding in findings)
    if output == "json":
        rows = [{"state": f.state, "subject": f.subject, "text": f.text} for f in findings]
        print_json({"ok": problems == 0, "findings": rows})
    else:
        for finding in findings:
            print(f"{finding.state:8}{finding.subject}: {finding.text}")
    return 1 if problems else 0


def _variables(plugins: Plugins) -> Iterator[Finding]:
    """Variables that no code reads are probably misspelt."""
    from aicflow_language.suggest import did_you_mean

    from aicflow.host.settings import Settings
    from aicflow.host.wiring import STORE_PREFIX

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
    from aicflow.host.fitting import unfitting

    found = list(unfitting(settings, [node.cls for node in plugins.registry.nodes()]))
    for text in found:
        yield Finding("problem", "limits", text)
    if not found:
        yield Finding("ok", "limits", f"a value may have {settings.max_body_bytes:,} bytes from end to end")


def _secrets(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """Secrets that are too short to be masked, and where the key of stored ones is."""
    from aicflow.host.datadir import DataDir

    own = DataDir(settings.data_dir).secrets_key_file
    if own.exists() and settings.secrets_key_file is None and settings.secrets_key is None:
        yield Finding("note", "secrets", f"the key of stored secrets is in {own}: a backup of the folder holds both")
    yield from _secrets_in_use(settings)
    from aicflow.engine.masking import is_masked
    from aicflow.host.wiring import secrets_of
    from aicflow.store.memory import MemoryStore

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


def _secrets_in_use(settings: Settings) -> Iterator[Finding]:
    """What the server that runs says of its secrets and their key."""
    from aicflow.cli.files import running_server

    try:
        if (server := running_server(settings.data)) is None:
            return
        found = server.api.secrets.check()
    except AICFlowError:
        return  # the server was reported already
    for use in found["unresolved"]:
        where = f"node {use['node_id']}" if use["node_id"] else f"trigger {use['trigger_id']}"
        text = f"{use['name']} is there for nobody, or not for workflow {use['workflow_id']}, whose {where} uses it"
        yield Finding("problem", "secrets", text)
    for key in found["missing_keys"]:
        yield Finding("problem", "secrets", f"some are sealed under the key {key}, which the server does not have")
    if found["waiting"]:
        text = f"{found['waiting']} of {found['secrets']} wait to be sealed under the key {found['key']}"
        yield Finding("note", "secrets", f"{text}; run: aicflow secrets rotate-key")
    if not (found["unresolved"] or found["missing_keys"] or found["waiting"]):
        yield Finding("ok", "secrets", f"{found['secrets']} are stored, and all that workflows name are there")


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


def _server_or_store(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """Ask the server that runs; without one, open the store."""
    from aicflow.cli.files import running_server
    from aicflow.host.secret_keys import SecretKeys
    from aicflow.host.secrets import StoredSecrets
    from aicflow.host.wiring import make_store

    try:
        server = running_server(settings.data)
        if server is not None:
            ready = server.api.ready()
            yield Finding("ok", "server", f"{server.url} is {ready['status']}")
            return
        yield Finding("ok", "server", "none runs on this data folder")
        if not settings.data_dir.exists():
            return

        async def look() -> list[str]:
            store = make_store(plugins, settings.store_url)
            await store.open()
            try:
                await store.check()
                await StoredSecrets(store, SecretKeys(settings, plugins.collect("aicflow_key_wrappers"))).open()
                return await store.maintenance.integrity()
            finally:
                await store.close()

        damage = asyncio.run(look())
        for text in damage[:10]:
            yield Finding("problem", "store", text)
        if not damage:
            yield Finding("ok", "store", "sound")
    except AICFlowError as error:
        yield Finding("problem", "store" if "server" not in error.message else "server", error.message)


def _advice(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """What the server of a store that hosts share says of itself, also while they run."""
    from aicflow.host.wiring import make_store

    async def look() -> list[Finding]:
        store = make_store(plugins, settings.store_url)
        if store.exclusive or not isinstance(store, Advised):
            return []
        await store.open()
        try:
            return await store.advice()
        finally:
            await store.close()

    with suppress(AICFlowError):  # told of the store already
        yield from asyncio.run(look())


def _files(settings: Settings) -> Iterator[Finding]:
    """Whether contents of files can be written where they are kept."""
    from aicflow.store.contents import open_contents

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
    from aicflow.host.wiring import engines_of

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


def _node_types(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """What node types say of themselves: in the server that runs, else in this process."""
    from aicflow.cli.files import running_server
    from aicflow.host.node_health import NodeHealth
    from aicflow.kernel.node import NodeType

    async def ask(cls: NodeType) -> Mapping[str, Any] | None:
        said: Mapping[str, Any] | None = await cls().health()
        return said

    async def look() -> dict[str, dict[str, Any]]:
        health = NodeHealth(plugins.registry, ask)
        logging.disable(logging.WARNING)  # it is all in the findings
        try:
            return await health.results(_PATIENCE)
        finally:
            logging.disable(logging.NOTSET)
            await health.close()

    try:
        server = running_server(settings.data)
        found = server.api.ready()["node_types"] if server is not None else asyncio.run(look())
    except AICFlowError:
        return  # the server was reported already
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
