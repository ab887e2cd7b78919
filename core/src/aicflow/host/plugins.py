"""Finding and loading plugins. A plugin that cannot be used is reported and never stops the host."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

import pluggy
from aicflow_language.suggest import did_you_mean

from aicflow.host.provenance import PluginPolicy, Provenance
from aicflow.kernel import hookspecs
from aicflow.kernel.errors import PluginError
from aicflow.kernel.records import Command, EngineType, KeyWrapper, Mount, Observer, SecretSource, StoreType

if TYPE_CHECKING:  # what commands of plugins do not need
    from aicflow.kernel.registry import Registry

_log = logging.getLogger("aicflow.plugins")

type PluginStatus = Literal["loaded", "partial", "failed", "blocked", "refused"]


@dataclass(slots=True)
class PluginInfo:
    """What became of one plugin. `problems` are (code, message) pairs; a partial plugin lost some of its types."""

    name: str
    distribution: str | None
    version: str | None
    status: PluginStatus = "loaded"
    node_types: list[str] = field(default_factory=list)
    trigger_types: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    package: str = "aicflow"
    """The top-level package of its code, to tell the place of an error."""
    entry: EntryPoint | None = None
    provenance: Provenance | None = None

    def report(self, code: str, message: str, status: PluginStatus) -> None:
        """Note a problem and log it."""
        self.status = status
        self.problems.append((code, message))
        expected = status == "blocked" or code == "not-listed"
        log = _log.debug if code == "advice" else _log.info if expected else _log.warning
        log("Plugin %s: %s: %s", self.name, code, message)


@dataclass(slots=True)
class Plugins:
    """The loaded plugins: what they are, their hooks for what starts things, and the registry they filled (there is
    none without their types)."""

    infos: list[PluginInfo]
    manager: pluggy.PluginManager
    policy: PluginPolicy
    registry: Registry = field(init=False)

    def inspect(self) -> None:
        """Find out where the plugins come from that the policy did not look at: this reads all of their files."""
        for info in self.infos:
            if info.provenance is None and info.entry is not None and info.entry.dist is not None:
                info.provenance = self.policy.provenance(info.entry.dist)

    def collect(self, hook: str, **arguments: Any) -> list[Any]:
        """What all plugins return for a hook, in order of plugin. A plugin whose hook raises or returns the wrong
        thing is reported and left out."""
        out: list[Any] = []
        for info in self.infos:
            if info.status in ("failed", "blocked", "refused"):
                continue
            out.extend(_call(self.manager, info, hook, arguments))
        return out


def load_plugins(
    builtin: Sequence[tuple[str, ModuleType | object]],
    *,
    core_version: str,
    policy: PluginPolicy | None = None,
    blocked: Collection[str] = (),
    found: Iterable[EntryPoint] | None = None,
    types: bool = True,
) -> Plugins:
    """Load the built-in plugins, then every installed one of the entry-point group `aicflow` by name.

    `found` replaces the search through installed distributions; without `types`, no node or trigger type is imported.
    Failures stay with the plugin they belong to:
    `import-failed`, `incompatible`, `bad-hook`, `no-hooks`, `clash`, `bad-type`, `blocked`, `hook-failed`. A plugin
    with `advice` is loaded. What the policy refuses is not imported: `not-listed`, `not-signed`, `unknown-key`,
    `bad-signature`, `changed-files`, `editable`, `not-checked`.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    policy = policy or PluginPolicy()
    plugins = Plugins([], manager, policy)
    policy.protect_bytecode()
    for name, module in builtin:
        info = PluginInfo(name, "aicflow", core_version)
        _admit(plugins, info, partial(_same, module))
    entries = entry_points(group=hookspecs.PROJECT) if found is None else found
    for entry in sorted(entries, key=lambda e: (e.name, e.value)):
        dist = entry.dist
        info = PluginInfo(entry.name, dist.name if dist else None, dist.version if dist else None)
        info.entry = entry
        if entry.name in blocked or (info.distribution is not None and info.distribution in blocked):
            info.report("blocked", "blocked by the settings", "blocked")
            plugins.infos.append(info)
            continue
        refusal, info.provenance = policy.refusal(entry)
        if refusal is not None:
            info.report(*refusal, "refused")
            plugins.infos.append(info)
            continue
        mismatch = _incompatible(dist.requires if dist else None, core_version)
        if mismatch is not None:
            info.report("incompatible", mismatch, "failed")
            plugins.infos.append(info)
            continue
        info.package = entry.module.partition(".")[0]
        _admit(plugins, info, entry.load)
    if types:
        _register_types(plugins)
    return plugins


def _same(module: Any) -> Any:
    return module


def _incompatible(requires: Sequence[str] | None, core_version: str) -> str | None:
    """Why a distribution does not go with this aicflow, by its own requirements, or None."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    for text in requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if canonicalize_name(requirement.name) != "aicflow" or not applies:
            continue
        if not requirement.specifier.contains(Version(core_version), prereleases=True):
            return f"needs aicflow{requirement.specifier}, this is aicflow {core_version}"
    return None


def _admit(plugins: Plugins, info: PluginInfo, load: Callable[[], Any]) -> None:
    """Import one plugin and register its hooks."""
    plugins.infos.append(info)
    manager = plugins.manager
    try:
        module = load()
    except (Exception, SystemExit) as error:
        info.report("import-failed", _described(error, info.package), "failed")
        return
    if manager.has_plugin(info.name):
        info.report("clash", f"another plugin is called {info.name!r} already", "failed")
        return
    problem = _hook_problem(manager, module)
    if problem is not None:
        info.report(*problem, "failed")
        return
    try:
        manager.register(module, name=info.name)
    except (pluggy.PluginValidationError, ValueError, TypeError) as error:
        if manager.has_plugin(info.name):
            manager.unregister(name=info.name)
        info.report("bad-hook", str(error), "failed")
        return


def _register_types(plugins: Plugins) -> None:
    from aicflow.definition import advice, definition_problem
    from aicflow.kernel.registry import Provider, Registry

    plugins.registry = Registry(definition_problem)
    for info in plugins.infos:
        if info.status != "loaded":
            continue
        provider = Provider(info.name, info.distribution, info.version)
        for hook, names in (("aicflow_nodes", info.node_types), ("aicflow_triggers", info.trigger_types)):
            for cls in _call(plugins.manager, info, hook, {}):
                try:
                    plugins.registry.register(cls, provider)
                except PluginError as error:
                    info.report(error.code, error.message, "partial")
                except Exception as error:
                    info.report("bad-type", f"{cls!r}: {_described(error, info.package)}", "partial")
                else:
                    names.append(cls.type_id)
                    for message in advice(cls):
                        info.report("advice", message, info.status)


def _hook_problem(manager: pluggy.PluginManager, module: Any) -> tuple[str, str] | None:
    """What is wrong with a plugin's hooks, as code and message: pluggy alone passes over most of it in silence."""
    specs = [name for name in vars(hookspecs) if name.startswith("aicflow_")]
    marked = 0
    for name, thing in inspect.getmembers_static(module):
        code = getattr(thing, "__code__", None)
        location = f"{code.co_filename}:{code.co_firstlineno}: " if code is not None else ""
        if manager.parse_hookimpl_opts(module, name) is not None:
            marked += 1
            if name not in specs:
                hint = did_you_mean(name, specs) or f"The hooks are {', '.join(specs)}."
                return "bad-hook", f"{location}there is no hook {name!r}. {hint}"
        elif name in specs:
            return "bad-hook", f"{location}{name} is not marked with @hookimpl, so it is never called."
    if not marked:
        return "no-hooks", f"{module!r} has no hooks, so it adds nothing. Define `aicflow_nodes` with @hookimpl."
    return None


def _described(error: BaseException, package: str) -> str:
    """An error with the place in the plugin's own code where it arose, and the cure where one is known."""
    text = f"{type(error).__name__}: {error}"
    location = ""
    if isinstance(error, SyntaxError):
        location = f"{error.filename}:{error.lineno}: "
    else:
        for frame, line in walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
                location = f"{frame.f_code.co_filename}:{line}: "
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        root = error.name.partition(".")[0]
        cure = "is the module part of the package?" if root == package else "is it in the plugin's dependencies?"
        text += f"; {cure}"
    elif isinstance(error, ImportError) and error.name_from is not None:
        module = sys.modules.get(error.name or "", object)
        hint = did_you_mean(error.name_from, getattr(module, "__all__", vars(module)))
        text += f". {hint}" if hint else ""
    return location + text


def _call(manager: pluggy.PluginManager, info: PluginInfo, hook: str, arguments: dict[str, Any]) -> list[Any]:
    """What one plugin returns for a hook, as a list; failures and things of a wrong type are reported on the plugin."""
    others = [plugin for name, plugin in manager.list_name_plugin() if name != info.name and plugin is not None]
    out = []
    try:
        for answer in manager.subset_hook_caller(hook, remove_plugins=others)(**arguments):
            if isinstance(answer, str | bytes | Mapping):
                raise TypeError(f"it must return a list, not {answer!r:.200}")
            out.extend(answer)
    except Exception as error:
        info.report("hook-failed", f"{hook}: {_described(error, info.package)}", "partial")
        return []
    fitting = []
    for thing in out:
        problem = _return_problem(hook, thing)
        if problem is None:
            fitting.append(thing)
        else:
            info.report("hook-failed", f"{hook} returned {thing!r:.200}: {problem}", "partial")
    return fitting


_RETURNS: Final[dict[str, type]] = {
    "aicflow_stores": StoreType,
    "aicflow_engines": EngineType,
    "aicflow_secrets": SecretSource,
    "aicflow_key_wrappers": KeyWrapper,
    "aicflow_observers": Observer,
    "aicflow_routes": Mount,
    "aicflow_commands": Command,
}


def _return_problem(hook: str, thing: object) -> str | None:
    """Why a plugin may not return this for a hook, or None. Node and trigger types are checked by the registry."""
    wanted = _RETURNS.get(hook)
    if wanted is None or isinstance(thing, wanted):
        return None
    names = [name for name in (*vars(wanted), *wanted.__annotations__) if not name.startswith("_")]
    if getattr(wanted, "_is_protocol", False):
        missing = [name for name in dict.fromkeys(names) if not hasattr(thing, name)]
        return f"a {wanted.__name__} needs {', '.join(missing)}"
    return f"{wanted.__name__}({', '.join(wanted.__annotations__)}) is expected"
