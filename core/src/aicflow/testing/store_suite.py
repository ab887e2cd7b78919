"""What every store must do: a conformance suite for whoever writes one.

Subclass it in a test module and say how to open an empty store:

    class TestMyStore(StoreSuite):
        @pytest_asyncio.fixture
        async def store(self, tmp_path):
            store = MyStore(tmp_path)
            await store.open()
            yield store
            await store.close()
"""

from __future__ import annotations

import pytest

from aicflow.testing.store_audit import AuditCases
from aicflow.testing.store_executions import ExecutionCases
from aicflow.testing.store_files import FileCases
from aicflow.testing.store_lists import ListCases
from aicflow.testing.store_maintenance import MaintenanceCases
from aicflow.testing.store_queue import QueueCases
from aicflow.testing.store_repeats import RepeatCases
from aicflow.testing.store_sent import SentCases
from aicflow.testing.store_slots import SlotCases
from aicflow.testing.store_statistics import StatisticsCases
from aicflow.testing.store_subjects import SubjectCases
from aicflow.testing.store_tables import TableCases


@pytest.mark.asyncio
class StoreSuite(
    ExecutionCases,
    ListCases,
    QueueCases,
    SlotCases,
    TableCases,
    MaintenanceCases,
    RepeatCases,
    SentCases,
    AuditCases,
    FileCases,
    SubjectCases,
    StatisticsCases,
):
    """All of it. Each test is given an open, empty store by the fixture `store`."""
