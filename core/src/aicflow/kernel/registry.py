"""What is installed: node types, trigger types, and how operators configured them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aicflow_language.suggest import did_you_mean

from aicflow.kernel.errors import NotFound, PluginError
from aicflow.kernel.node import NodeType
from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.serialization import Record
from aicflow.kernel.trigger import Trigger, TriggerType


@dataclass(frozen=True, slots=True)
class Provider(Record):
    """Where a type comes from: the plugin's entry-point name and its distribution (None when registered in code)."""

    plugin: str
    distribution: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """A node type in the registry, with its provider and its operator's setting."""

    cls: NodeType
    provider: Provider
    setting: NodeSetting

    @property
    def type_id(self) -> str:
        return self.cls.type_id


@dataclass(frozen=True, slots=True)
class RegisteredTrigger:
    """A trigger type in the registry, with its provider."""

    cls: TriggerType
    provider: Provider

    @property
    def type_id(self) -> str:
        return self.cls.type_id


class Registry:
    """Node and trigger types by id and version. `generation` grows with every change, so that what was derived from
    the registry (plans, schemas) can be kept until then.

    Changed by one thread, read by any: what readers walk through is never changed but replaced.
    """

    def __init__(self, check: Callable[[type], str | None] = lambda cls: None) -> None:
        """`check` says what is wrong with the definition of a type."""
        self._check = check
        self._nodes: dict[str, dict[int, tuple[NodeType, Provider]]] = {}
        self._triggers: dict[str, dict[int, tuple[TriggerType, Provider]]] = {}
        self._settings: dict[str, NodeSetting] = {}
        self.generation = 0

    def register(self, cls: NodeType | TriggerType, provider: Provider | None = None) -> None:
        """Add a node or trigger type. Raises PluginError: `bad-type` for a wrong definition, `clash` when the id and
        version are taken by another class."""
        provider = provider or Provider(plugin="(embedded)")
        if (problem := self._check(cls)) is not None:
            raise PluginError("bad-type", problem)
        self._add(self._triggers if issubclass(cls, Trigger) else self._nodes, cls, provider)

    def _add(self, table: dict[str, dict[int, tuple[Any, Provider]]], cls: Any, provider: Provider) -> None:
        versions = table.get(cls.type_id, {})
        taken = versions.get(cls.version)
        if taken is not None and taken[0] is not cls:
            raise PluginError(
                "clash",
                f"{cls.type_id!r} version {cls.version} of plugin {provider.plugin!r} "
                f"is already provided by plugin {taken[1].plugin!r}",
                hint="Rename one of them, or block one of the plugins by name.",
            )
        changed = {**table, cls.type_id: {**versions, cls.version: (cls, provider)}}
        if table is self._nodes:
            self._nodes = changed
        else:
            self._triggers = changed
        self.generation += 1

    def node(self, type_id: str, version: int | None = None) -> RegisteredNode:
        """The node type, newest version unless one is named. Raises NotFound with a suggestion."""
        cls, provider = self._find(self._nodes, "node type", type_id, version)
        return RegisteredNode(cls, provider, self._settings.get(type_id) or NodeSetting(type_id))

    def trigger(self, type_id: str, version: int | None = None) -> RegisteredTrigger:
        """The trigger type, newest version unless one is named. Raises NotFound with a suggestion."""
        return RegisteredTrigger(*self._find(self._triggers, "trigger type", type_id, version))

    @staticmethod
    def _find(
        table: Mapping[str, Mapping[int, tuple[Any, Provider]]], kind: str, type_id: str, version: int | None
    ) -> tuple[Any, Provider]:
        versions = table.get(type_id)
        if not versions:
            raise NotFound(
                kind,
                type_id,
                hint=did_you_mean(type_id, table) or "Is the plugin that provides it installed?",
            )
        chosen = version or max(versions)
        if chosen not in versions:
            have = ", ".join(str(v) for v in sorted(versions))
            raise NotFound(kind, f"{type_id} version {chosen}", hint=f"Installed: version {have}.")
        return versions[chosen]

    def nodes(self) -> list[RegisteredNode]:
        """The newest version of every node type, by id."""
        return [self.node(type_id) for type_id in sorted(self._nodes)]

    def triggers(self) -> list[RegisteredTrigger]:
        """The newest version of every trigger type, by id."""
        return [self.trigger(type_id) for type_id in sorted(self._triggers)]

    def versions(self, type_id: str) -> list[int]:
        """The installed versions of a node type, oldest first."""
        return sorted(self._nodes.get(type_id, ()))

    def configure(self, setting: NodeSetting) -> None:
        """Set whether a node type is enabled and its default params. Works at once."""
        self._settings = {**self._settings, setting.type_id: setting}
        self.generation += 1

    def configure_all(self, settings: Iterable[NodeSetting]) -> None:
        """Replace every setting."""
        self._settings = {setting.type_id: setting for setting in settings}
        self.generation += 1
