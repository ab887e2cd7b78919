"""A store on disk for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aicflow.store import SQLiteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "aicflow.db", busy_seconds=0.2)
    await store.open()
    yield store
    await store.close()
