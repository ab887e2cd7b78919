"""AIC Flow on PostgreSQL: one database for any number of servers and workers."""

from __future__ import annotations

from collections.abc import Sequence

from aicflow.ports import StoreType, hookimpl

from aicflow_postgres.store import PostgresStore

__all__ = ["PostgresStore", "aicflow_stores"]


@hookimpl
def aicflow_stores() -> Sequence[StoreType]:
    """`postgresql://user@host/database`, and `postgres://`."""
    return [StoreType(scheme, PostgresStore.from_settings) for scheme in ("postgresql", "postgres")]
