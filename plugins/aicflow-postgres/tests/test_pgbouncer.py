"""Through PgBouncer, which shares few connections of the server among many: by session, and by transaction."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import psycopg
import pytest
from aicflow.ports import ExecutionFilter, Signal, StoreUnavailable
from aicflow.testing.store_samples import batch, create, end
from aicflow_postgres.store import PostgresStore

_PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    _PROGRAM is None, reason="No PgBouncer is installed here (Debian: apt install pgbouncer): it is not tested."
)


@contextmanager
def _pooler(url: str, folder: Path, mode: str) -> Iterator[str]:
    """The URL of the same database through PgBouncer."""
    given = psycopg.conninfo.conninfo_to_dict(url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users").write_text('"aicflow" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={given['port']} user=aicflow\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder / 'users'}\n"
        f"pool_mode = {mode}\nmax_client_conn = 100\ndefault_pool_size = {5 if mode == 'transaction' else 30}\n"
    )
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.is_relative_to(gettempdir()) and parent != Path(gettempdir()):
            parent.chmod(0o755)  # another user is to read it
    process = subprocess.Popen(
        [str(_PROGRAM), str(folder / "pgbouncer.ini")],
        user="postgres" if os.geteuid() == 0 else None,  # it refuses root
        stderr=subprocess.DEVNULL,
    )
    through = f"postgresql://aicflow@127.0.0.1:{port}/{given['dbname']}"
    try:
        end_at = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(through).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < end_at, "PgBouncer did not start"
                time.sleep(0.05)
        yield through
    finally:
        process.terminate()
        process.wait()


async def _work(store: PostgresStore, count: int) -> None:
    """Executions begin, tell something and end, many at once, again and again: statements are prepared and used."""
    ids = [f"ex_{number:03}" for number in range(count)]
    await asyncio.gather(*(create(store.executions, id, at=time.time() - 9) for id in ids))
    done = 0
    while claimed := await store.executions.claim("w1", 10, lease=60.0):
        for seq in range(2, 9):
            await asyncio.gather(
                *(store.executions.append(one.execution.id, 1, batch(seq, "step.progress")) for one in claimed)
            )
        await asyncio.gather(*(end(store.executions, one.execution.id, seq=9) for one in claimed))
        done += len(claimed)
    assert done == count
    assert await store.executions.count(ExecutionFilter()) == {"succeeded": count}
    assert await store.maintenance.integrity() == []


async def _hears(one: PostgresStore, other: PostgresStore) -> bool:
    """Whether a hint of one comes to the other."""
    signals = other.signals.signals()
    try:
        async with asyncio.timeout(10):
            while True:
                one.signals.hint(Signal("cancel", "ex_x"))
                with_time = asyncio.ensure_future(anext(signals))
                done, _ = await asyncio.wait([with_time], timeout=1)
                if done and with_time.result() == Signal("cancel", "ex_x"):
                    return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_store_works_through_a_pooler(url: str, tmp_path: Path, mode: str) -> None:
    with _pooler(url, tmp_path, mode) as through:
        listen = url if mode == "transaction" else None
        one, other = (PostgresStore(through, pool=8, listen=listen) for _ in range(2))
        await one.open()
        await other.open()
        await _work(one, 60)
        assert await _hears(one, other)
        await one.close()
        await other.close()


async def test_one_by_transaction_is_refused_without_the_url_of_the_server(url: str, tmp_path: Path) -> None:
    with _pooler(url, tmp_path, "transaction") as through:
        store = PostgresStore(through)
        with pytest.raises(StoreUnavailable, match="by transaction") as refused:
            await store.open()
        assert "AICFLOW_STORE_LISTEN" in str(refused.value.hint)
