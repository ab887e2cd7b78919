"""Which schema a store's database has, and bringing it up to date by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from aicflow.kernel.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Migrations by name: the newest that the database has (None: it is empty), the newest that this version knows,
    those that are still to be applied, and those that a newer version has applied."""

    found: str | None
    known: str
    pending: tuple[str, ...]
    newer: tuple[str, ...] = ()


@runtime_checkable
class Migratable(Protocol):
    """A store, not open, whose database has a schema with versions."""

    async def schema(self) -> SchemaState:
        """Changes nothing. Raises StoreUnavailable."""
        ...

    async def migrate(self) -> Sequence[str]:
        """Apply what is pending, once however many do it at the same time; returns what this call applied. Raises
        StoreUnavailable, also when a newer version has migrated it."""
        ...


def state_of(applied: Sequence[str], known: Sequence[str]) -> SchemaState:
    """From the names of the migrations, `0001_initial` and so on, each in order."""
    return SchemaState(
        found=applied[-1] if applied else None,
        known=known[-1],
        pending=tuple(name for name in known if name not in applied),
        newer=tuple(name for name in applied if name > known[-1]),
    )


def check_manual(pending: Sequence[str]) -> None:
    """For a host that is not to migrate by itself. Raises StoreUnavailable when it would."""
    if pending:
        raise StoreUnavailable(
            f"The schema is not up to date: {', '.join(pending)} must be applied, and AICFLOW_STORE_MIGRATE is manual.",
            hint="Run `aicflow db migrate`, then start again.",
        )
