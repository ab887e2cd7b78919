"""Both stores pass the suite that is shipped to whoever writes another."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aicflow.store import MemoryStore, SQLiteStore
from aicflow.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryStore]:
        store = MemoryStore()
        await store.open()
        yield store
        await store.close()


class TestSQLiteStore(StoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        store = SQLiteStore(tmp_path / "aicflow.db", synchronous="NORMAL")
        await store.open()
        yield store
        await store.close()


class TestSharedSQLiteStore(StoreSuite):
    """Without the lock, where another process may have written between any two calls."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        store = SQLiteStore(tmp_path / "aicflow.db", synchronous="NORMAL", shared=True)
        await store.open()
        yield store
        await store.close()
