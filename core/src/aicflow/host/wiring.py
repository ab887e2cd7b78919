"""Putting the parts together: plugins, registry, store, engines, executions. The command line uses it too."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from aicflow_language.suggest import did_you_mean

from aicflow.host.plugins import Plugins, load_plugins
from aicflow.host.provenance import PluginPolicy
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.records import SecretRuntime, SecretSource

if TYPE_CHECKING:
    from aicflow.engine import Executions
    from aicflow.engine.files import Files
    from aicflow.engine.options import EngineOptions
    from aicflow.engine.secrets import Secrets
    from aicflow.kernel.clock import Clock
    from aicflow.kernel.ports.engine import Engine
    from aicflow.kernel.ports.store import Store

STORE_PREFIX: Final = "AICFLOW_STORE_"
"""Variables that a store is made with, by the rest of their name."""


def installed_plugins(
    blocked: Collection[str] = (),
    found: Iterable[EntryPoint] | None = None,
    *,
    types: bool = True,
    policy: PluginPolicy | None = None,
) -> Plugins:
    """Every plugin that is installed, not blocked and admitted by the policy (the environment's, when not given), with
    the ones `aicflow` brings. Without `types`, no node or trigger type is imported."""
    from aicflow import __version__
    from aicflow.engine import plugin as engine
    from aicflow.host import builtin

    own = [("aicflow-engine", engine), ("aicflow-store", builtin)]
    return load_plugins(
        own,
        core_version=__version__,
        policy=policy or PluginPolicy.from_environment(),
        blocked=blocked,
        found=found,
        types=types,
    )


def make_store(plugins: Plugins, url: str, settings: Mapping[str, str] = MappingProxyType({})) -> Store:
    """The store behind the URL, not yet open, with the settings of the environment and these. Raises AICFlowError for
    a scheme that no plugin provides."""
    scheme, separator, _ = url.partition(":")
    types = {kind.scheme: kind for kind in reversed(plugins.collect("aicflow_stores"))}
    if not separator or scheme not in types:
        raise AICFlowError(
            f"There is no store for {without_password(url)!r}; there are stores for {', '.join(sorted(types))}.",
            hint=did_you_mean(scheme, types) or "A store URL looks like sqlite:////var/lib/aicflow/aicflow.db.",
        )
    given = {
        name.removeprefix(STORE_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(STORE_PREFIX)
    }
    store: Store = types[scheme].create(url, {**given, **settings})
    return store


def without_password(url: str) -> str:
    """A URL that may be shown."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at else url


def engines_of(plugins: Plugins, wanted: str | None = None) -> dict[str, Callable[[], Engine]]:
    """The engines by name. Raises AICFlowError when the wanted one is not among them."""
    engines = {kind.name: kind.create for kind in reversed(plugins.collect("aicflow_engines"))}
    if wanted is not None and wanted not in engines:
        raise AICFlowError(
            f"There is no engine {wanted!r}; available engines: {', '.join(sorted(engines))}.",
            hint=did_you_mean(wanted, engines),
        )
    return engines


def secrets_of(
    plugins: Plugins, store: Store, *, stored: SecretSource | None = None, order: Sequence[str] = (), **options: float
) -> Secrets:
    """All secret sources, asked in order: `stored`, then those of plugins; with `order`, only the named ones, in that
    order. Raises AICFlowError for a name that no source has."""
    from aicflow.engine.secrets import Secrets

    sources: list[SecretSource] = plugins.collect("aicflow_secrets", runtime=SecretRuntime(store))
    if stored is not None:
        sources.insert(0, stored)
    known = {source.name: source for source in reversed(sources)}
    for name in order:
        if name not in known and name != "files":  # there is one when AICFLOW_SECRETS_DIR is set
            raise AICFlowError(
                f"There is no source of secrets {name!r}; available sources: {', '.join(sorted(known))}.",
                hint=did_you_mean(name, known) or "AICFLOW_SECRETS_SOURCES lists them.",
            )
    if order:
        sources = [known[name] for name in dict.fromkeys(order) if name in known]
    return Secrets(sources, **options)


def make_executions(
    plugins: Plugins,
    store: Store,
    options: EngineOptions,
    *,
    secrets: Secrets | None = None,
    observers: Sequence[Any] = (),
    clock: Clock | None = None,
    server_secret: bytes | None = None,
    files: Files | None = None,
) -> Executions:
    """The engine's facade over an open store; without `files`, those of its executions are gone when it closes. Raises
    AICFlowError for an unknown engine."""
    from aicflow import __version__
    from aicflow.engine import Executions
    from aicflow.engine.clock import SystemClock
    from aicflow.engine.files import Files
    from aicflow.host.logs import mask_logs
    from aicflow.store.contents import TemporaryContents

    clock = clock or SystemClock()

    executions = Executions(
        store,
        plugins.registry,
        engines=engines_of(plugins, options.engine),
        options=options,
        secrets=secrets or secrets_of(plugins, store),
        observers=[*plugins.collect("aicflow_observers"), *observers],
        clock=clock,
        server_secret=server_secret,
        files=files or Files(store.files, TemporaryContents(), clock),
        version=__version__,
    )
    mask_logs(executions.secrets.mask)
    return executions
