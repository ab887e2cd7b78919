"""`aicflow doctor`: is this installation sound?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from aicflow.cli.say import Output, print_json
from aicflow.kernel.errors import AICFlowError
from aicflow.store.advice import Advised, Finding

if TYPE_CHECKING:
    from aicflow.host.plugins import Plugins
    from aicflow.host.settings import Settings

_PATIENCE: Final = 30.0


def doctor_command(
    *,
    data_dir: Annotated[Path | None, Parameter(help="Folder of the database and the keys")] = None,
    output: Output = "text",
) -> int:
    """Check settings, data folder, store, engine, plugins and node types. Leaves with 1 when there is a problem."""
    from aicflow.cli.files import load_settings
    from aicflow.cli.plugins import quiet_plugins
    from aicflow.host.doctor import of_installation

    settings = load_settings(data_dir=data_dir)
    plugins = quiet_plugins(policy=settings.plugin_policy)
    findings = [
        *of_installation(settings, plugins),
        *_server_or_store(settings, plugins),
        *_advice(settings, plugins),
        *_node_types(settings, plugins),
        *_secrets_in_use(settings),
    ]
    problems = sum(finding.state == "problem" for finding in findings)
    if output == "json":
        rows = [{"state": f.state, "subject": f.subject, "text": f.text} for f in findings]
        print_json({"ok": problems == 0, "findings": rows})
    else:
        for finding in findings:
            print(f"{finding.state:8}{finding.subject}: {finding.text}")
    return 1 if problems else 0


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


def _secrets_in_use(settings: Settings) -> Iterator[Finding]:
    """What the server that runs says of its secrets and their key."""
    from aicflow.cli.files import running_server
    from aicflow.host.doctor import of_secrets

    try:
        if (server := running_server(settings.data)) is None:
            return
        found = server.api.secrets.check()
    except AICFlowError:
        return  # the server was reported already
    yield from of_secrets(found)


def _node_types(settings: Settings, plugins: Plugins) -> Iterator[Finding]:
    """What node types say of themselves: in the server that runs, else in this process."""
    from aicflow.cli.files import running_server
    from aicflow.host.doctor import of_node_types
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
    yield from of_node_types(found)
