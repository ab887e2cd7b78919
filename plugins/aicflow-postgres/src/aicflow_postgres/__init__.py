"""AIC Flow on PostgreSQL: one database for any number of servers and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aicflow import hookimpl

if TYPE_CHECKING:
    from aicflow.ports import StoreType

    from aicflow_postgres.store import PostgresStore


@hookimpl
def aicflow_stores() -> Sequence[StoreType]:
    """`postgresql://user@host/database`, and `postgres://`."""
    from aicflow.ports import StoreType

    return [StoreType(scheme, _create) for scheme in ("postgresql", "postgres")]


def _create(url: str, settings: Mapping[str, str]) -> PostgresStore:
    from aicflow_postgres.store import PostgresStore

    return PostgresStore.from_settings(url, settings)
