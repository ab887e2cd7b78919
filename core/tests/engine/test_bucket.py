"""Files in a bucket: a server of S3 on this machine, in a process of its own, and the client that a user installs."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
import tracemalloc
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aicflow.engine.clock import SystemClock
from aicflow.engine.files import CHUNK, Files
from aicflow.kernel.errors import AICFlowError
from aicflow.store.contents import RemoteContents, open_contents
from aicflow.store.sqlite import SQLiteStore

WHY = "needs a bucket, of moto, and s3fs: tox run -e s3"
pytest.importorskip("moto.server", reason=WHY)
pytest.importorskip("s3fs", reason=WHY)
pytestmark = pytest.mark.slow


def _put(path: str, data: bytes = b"") -> None:
    """Make a bucket, or an object in it, as another client would."""
    request = urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{path}", data=data, method="PUT")
    request.add_header("Content-Type", "application/octet-stream")
    urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of an empty place in a bucket. What says where it is stands in the environment, as for users."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    where = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": where,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            until = time.monotonic() + 60
            while True:
                with suppress(OSError):
                    urllib.request.urlopen(f"{where}/moto-api/", timeout=5).close()
                    break
                assert server.poll() is None, "The server of S3 has ended."
                assert time.monotonic() < until, "The server of S3 does not answer."
                time.sleep(0.1)
            _put("flows")
            yield "s3://flows"
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def url(bucket: str) -> str:
    return f"{bucket}/{secrets.token_hex(4)}"


@pytest.fixture
async def files(url: str, tmp_path: Path) -> AsyncIterator[tuple[Files, RemoteContents]]:
    store = SQLiteStore(tmp_path / "db")
    await store.open()
    contents = open_contents(url)
    assert isinstance(contents, RemoteContents)
    files = Files(store.files, contents, SystemClock())
    await files.check()
    yield files, contents
    await files.close()
    await store.close()


async def test_a_file_is_written_read_in_parts_and_removed(files: tuple[Files, RemoteContents]) -> None:
    here, contents = files
    record = await here.write(b"0123456789" * 300_000, lifetime=60)
    assert b"".join([data async for data in here.read(record)]) == b"0123456789" * 300_000
    assert b"".join([data async for data in here.read(record, 2_000_005, 2_000_015)]) == b"5678901234"
    async with here.path(record) as path:
        assert path.stat().st_size == record.size
    assert (await here.write(b"0123456789" * 300_000, lifetime=60)).place == record.place
    assert await here.remove_leftovers(time.time() + 60) == 0
    await here.delete(record.sha256)
    assert not contents.exists(record.place)


async def test_what_is_sent_in_parts_is_whole_and_never_in_memory(files: tuple[Files, RemoteContents]) -> None:
    here, _ = files
    block = os.urandom(CHUNK)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield block

    tracemalloc.start()
    record = await here.write(chunks(), lifetime=60)
    digest = hashlib.sha256()
    async for data in here.read(record):
        digest.update(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (record.size, digest.hexdigest()) == (100 * CHUNK, record.sha256)
    assert peak < 60 * CHUNK


async def test_a_write_that_breaks_off_leaves_nothing(files: tuple[Files, RemoteContents]) -> None:
    here, contents = files

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield os.urandom(CHUNK)
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        await here.write(broken(), lifetime=60)
    assert list(contents.older(time.time() + 60)) == []


async def test_a_sweep_takes_what_a_killed_process_left(files: tuple[Files, RemoteContents]) -> None:
    here, contents = files
    kept = await here.write(b"kept", lifetime=60)
    killed = contents.create("killed")
    killed.write(b"x")
    killed.commit(f"aa/bb/{'a' * 64}.00000000")
    assert await here.remove_leftovers(time.time() - 60) == 0
    assert await here.remove_leftovers(time.time() + 60) == 1
    assert contents.exists(kept.place)


async def test_what_another_host_writes_is_seen_at_once(files: tuple[Files, RemoteContents], url: str) -> None:
    """Also in a folder that was listed before: no listing is kept."""
    here, contents = files
    await here.write(b"mine", lifetime=60)
    writer = contents.create("first")
    writer.write(b"first")
    writer.commit(f"aa/bb/{'a' * 64}.00000000")
    assert len(list(contents.older(time.time() + 60))) == 2
    place = f"aa/bb/{'b' * 64}.00000000"
    _put(f"{url.removeprefix('s3://')}/{place}", b"other")
    assert contents.exists(place)
    with contents.read(place) as found:
        assert found.read() == b"other"


async def test_a_place_of_another_installation_is_refused(files: tuple[Files, RemoteContents], url: str) -> None:
    with pytest.raises(AICFlowError, match="belong to another AIC Flow"):
        RemoteContents(url).open("somebody else")


async def test_a_bucket_that_cannot_be_used_is_told(bucket: str) -> None:
    with pytest.raises(AICFlowError, match=r"s3://no-such-bucket/x cannot be used: .*does not exist"):
        RemoteContents("s3://no-such-bucket/x").open("me")
