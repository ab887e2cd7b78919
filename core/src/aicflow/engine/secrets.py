"""Secrets at run time: where they come from, and keeping their values out of whatever is shown."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence

from aicflow_language.expr import Secret

from aicflow.engine.masking import Mask
from aicflow.kernel.errors import PermanentError
from aicflow.kernel.records import SecretSource

__all__ = ["EnvironmentSecrets", "Secrets", "SecretsView"]

_logger = logging.getLogger("aicflow.engine")


class EnvironmentSecrets:
    """Secrets in the environment of the process: `AICFLOW_SECRET_NAME` is `secrets.NAME`."""

    name = "environment"

    def __init__(self, environment: Mapping[str, str] | None = None, prefix: str = "AICFLOW_SECRET_") -> None:
        self._environment = os.environ if environment is None else environment
        self._prefix = prefix

    def get(self, secret: str) -> str | None:
        """The value, or None when there is none."""
        return self._environment.get(self._prefix + secret)

    def names(self) -> Sequence[str]:
        """All names."""
        return sorted(name[len(self._prefix) :] for name in self._environment if name.startswith(self._prefix))


class Secrets:
    """All sources, asked in order. `mask` hides every value that a source lists or has given."""

    def __init__(self, sources: Sequence[SecretSource] = ()) -> None:
        self._sources = tuple(sources)
        self.mask = Mask()

    def learn(self) -> None:
        """Hide all values of the sources that list them: one may reach an execution that never asked for it."""
        for source in self._sources:
            try:
                found = (source.get(name) for name in source.names() or ())
                self.mask.add(*(value for value in found if value is not None))
            except Exception as error:  # a source that is out of reach now is asked again when a step needs it
                _logger.warning("Secret source %s cannot list its secrets: %s", source.name, type(error).__name__)

    def value(self, name: str) -> str:
        """The secret's value. Raises PermanentError when no source has it."""
        for source in self._sources:
            value = source.get(name)
            if value is not None:
                self.mask.add(value)
                return value
        asked = ", ".join(source.name for source in self._sources) or "none"
        raise PermanentError(
            f"There is no secret {name!r} (sources asked: {asked}).",
            code="secret-missing",
            hint=f"Set AICFLOW_SECRET_{name} in the server's environment, or add it to a secret source.",
        )

    def names(self) -> frozenset[str] | None:
        """All names, or None when a source cannot list its own."""
        found: set[str] = set()
        for source in self._sources:
            names = source.names()
            if names is None:
                return None
            found.update(names)
        return frozenset(found)


class SecretsView(Mapping[str, Secret]):
    """`secrets` in an expression: names only. Whether one exists shows when its value is asked for."""

    def __getitem__(self, name: str) -> Secret:
        return Secret(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)
