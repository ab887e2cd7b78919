"""The PostgreSQL store does what every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from aicflow.testing.shared_suite import SharedStoreSuite
from aicflow.testing.store_suite import StoreSuite
from aicflow_postgres.store import PostgresStore


class TestPostgresStore(StoreSuite):
    """On an empty database for each."""

    purges_files = False

    @pytest_asyncio.fixture
    async def store(self, url: str) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(url)
        await store.open()
        yield store
        await store.close()


class TestTwoHosts(SharedStoreSuite):
    """Each with a store of its own over one database."""

    @pytest_asyncio.fixture
    async def stores(self, url: str) -> AsyncIterator[list[PostgresStore]]:
        stores = [PostgresStore(url), PostgresStore(url)]
        for store in stores:
            await store.open()
        yield stores
        for store in stores:
            await store.close()
