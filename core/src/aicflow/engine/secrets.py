"""Secrets at run time: where they come from, and keeping their values out of whatever is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from aicflow.kernel.errors import PermanentError
from aicflow.kernel.expr import Secret
from aicflow.kernel.records import SecretSource
from aicflow.kernel.values import dumps

__all__ = ["EnvironmentSecrets", "Mask", "Secrets", "SecretsView"]

_SHORTEST_MASKED: Final = 4


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
    """All sources, asked in order."""

    def __init__(self, sources: Sequence[SecretSource] = ()) -> None:
        self._sources = tuple(sources)

    def value(self, name: str) -> str:
        """The secret's value. Raises PermanentError when no source has it."""
        for source in self._sources:
            value = source.get(name)
            if value is not None:
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


class Mask:
    """The secret values that one execution has seen, and removing them from what is shown or kept."""

    __slots__ = ("_encoded", "_values")

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._encoded: list[bytes] = []

    def add(self, value: str) -> None:
        """Hide this value from now on. Very short ones are not hidden: they would blot out ordinary text."""
        if len(value) >= _SHORTEST_MASKED and value not in self._values:
            self._values.add(value)
            # as it is and as URLs hold it; longest first, so that a secret that contains another is hidden whole
            forms = {dumps(form)[1:-1] for v in self._values for form in (v, quote(v, safe=""))}
            self._encoded = sorted(forms, key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._encoded)

    def bytes(self, encoded: bytes) -> bytes:
        """Encoded JSON with every secret value replaced by `***`."""
        for value in self._encoded:
            if value in encoded:
                encoded = encoded.replace(value, b"***")
        return encoded
