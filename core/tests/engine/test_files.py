"""Files of executions: nodes write and read them, executions hold them, and the sweep takes what nobody needs."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aicflow import Context, File, Node, Output, Params, PermanentError
from aicflow.engine.clock import SystemClock
from aicflow.engine.files import CHUNK, FileLimits, Files, files_in
from aicflow.host.wiring import installed_plugins
from aicflow.kernel.errors import AICFlowError, Conflict, NotFound, StoreUnavailable
from aicflow.language.validation import validate
from aicflow.store.contents import FolderContents, RemoteContents, open_contents
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing import RecordingContext, run_node, run_workflow


class Text(Params):
    text: str


class Made(Output):
    file: File


class Write(Node[Text, Made]):
    """Write a text to a file."""

    type_id = "test.write_file"

    async def run(self, ctx: Context, params: Text) -> Made:
        async def lines() -> AsyncIterator[bytes]:
            for line in params.text.splitlines(keepends=True):
                yield line.encode()

        return Made(file=await ctx.files.write(lines(), name="../notes.txt"))


class Given(Params):
    file: File


class Size(Output):
    text: str
    size: int
    by_path: str


class Read(Node[Given, Size]):
    """Read a text from a file."""

    type_id = "test.read_file"

    async def run(self, ctx: Context, params: Given) -> Size:
        text = b"".join([data async for data in ctx.files.read(params.file)])
        async with ctx.files.path(params.file) as path:
            return Size(text=text.decode(), size=params.file.size, by_path=path.read_text())


DOCUMENT = {
    "aicflow": 1,
    "name": "Files",
    "nodes": [
        {"id": "write", "type": "test.write_file", "params": {"text": "${{ input.text }}"}},
        {"id": "read", "type": "test.read_file", "params": {"file": "${{ nodes.write.output.file }}"}},
    ],
    "edges": [{"from": "write", "to": "read"}],
    "output": {"size": "${{ nodes.write.output.file.size }}", "read": "${{ nodes.read.output }}"},
}


@pytest.mark.parametrize("engine", ["native", "langgraph"])
async def test_one_node_writes_a_file_and_another_reads_it(engine: str) -> None:
    result = await run_workflow(DOCUMENT, {"text": "one\ntwo\n"}, nodes=[Write, Read], engine=engine)
    assert result.error is None
    assert result.output == {"size": 8, "read": {"text": "one\ntwo\n", "size": 8, "by_path": "one\ntwo\n"}}
    assert result.steps["write"].output == {
        "file": {
            "$blob": hashlib.sha256(b"one\ntwo\n").hexdigest(),
            "size": 8,
            "type": "text/plain",
            "name": "notes.txt",
        }
    }


async def test_a_node_is_tested_with_files_by_itself() -> None:
    context = RecordingContext()
    made = await run_node(Write, {"text": "hello"}, context=context)
    read = await run_node(Read, {"file": made["file"]}, context=context)
    assert read["text"] == "hello"
    part = [data async for data in context.files.read(File.model_validate(made["file"]), start=1, end=3)]
    assert part == [b"el"]
    with pytest.raises(PermanentError, match="There is no file"):
        await run_node(Read, {"file": {"$blob": "0" * 64, "size": 1}}, context=context)


async def opened(tmp_path: Path, **limits: Any) -> tuple[SQLiteStore, Files, FolderContents]:
    store = SQLiteStore(tmp_path / "db")
    await store.open()
    contents = FolderContents(tmp_path / "files")
    return store, Files(store.files, contents, SystemClock(), limits=FileLimits(**limits)), contents


async def content(files: Files, sha256: str) -> bytes:
    return b"".join([data async for data in files.read(await files.store.get(sha256))])


async def test_a_sweep_beside_a_second_upload_of_the_same_content_loses_nothing(tmp_path: Path) -> None:
    """The content has expired; a sweep and a new upload begin at the same moment, a hundred times."""
    store, files, contents = await opened(tmp_path)
    chance = random.Random(7)

    def slowly(work: Callable[..., Any]) -> Callable[..., Any]:
        def later(*args: Any) -> Any:
            time.sleep(chance.random() * 0.004)
            return work(*args)

        return later

    contents.remove = slowly(contents.remove)  # type: ignore[method-assign]
    contents.exists = slowly(contents.exists)  # type: ignore[method-assign]
    for _ in range(100):
        sha256 = (await files.write(b"the same", lifetime=0)).sha256
        await asyncio.gather(
            files.sweep(),
            files.remove_leftovers(time.time() + 60),
            files.write(b"the same", lifetime=60),
            files.sweep(),
        )
        assert await content(files, sha256) == b"the same"
        await files.delete(sha256)
        assert await files.remove_leftovers(time.time() + 60) == 0, "and nothing is left behind"
    await store.close()


async def test_what_a_killed_process_leaves_is_removed_and_nothing_else(tmp_path: Path) -> None:
    store, files, contents = await opened(tmp_path)
    kept = await files.write(b"kept", lifetime=60)
    writer = contents.create("writing")
    writer.write(b"killed while it was written")
    committed = contents.create("committed")
    committed.write(b"killed before the store knew")
    committed.commit(f"aa/bb/{'a' * 64}.00000000")
    gone = await files.write(b"killed after the store forgot it", lifetime=0)
    assert await store.files.expire(now=time.time() + 1) == [gone.place]
    assert await files.remove_leftovers() == 0, "somebody may still be writing them"
    assert await files.remove_leftovers(time.time() + 60) == 3
    assert await content(files, kept.sha256) == b"kept"
    left = [path.name for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert sorted(left) == sorted(["owner", kept.place.rpartition("/")[2]])
    writer.close()
    await store.close()


async def test_a_content_that_was_lost_comes_back_with_the_next_upload(tmp_path: Path) -> None:
    store, files, contents = await opened(tmp_path)
    record = await files.write(b"lost", lifetime=60)
    contents.remove(record.place)
    with pytest.raises(NotFound, match="content of the file"):
        await content(files, record.sha256)
    again = await files.write(b"lost", lifetime=60)
    assert again.place != record.place
    assert await content(files, record.sha256) == b"lost"
    await store.close()


async def test_a_write_that_is_cancelled_or_refused_leaves_nothing(tmp_path: Path) -> None:
    store, files, _ = await opened(tmp_path, max_bytes=3 * CHUNK, quota=4 * CHUNK)

    async def endless(pieces: int) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield bytes(CHUNK)
        await asyncio.sleep(60)

    writing = asyncio.create_task(files.write(endless(2)))
    while not list((tmp_path / "files").rglob("unfinished/*")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.wait({writing})
    with pytest.raises(Conflict) as too_large:
        await files.write(endless(4))
    await files.write(b"x" * 2 * CHUNK, lifetime=60)
    with pytest.raises(Conflict) as full:
        await files.write(endless(3))
    assert (too_large.value.code, full.value.code) == ("file-too-large", "files-full")
    assert list((tmp_path / "files").rglob("unfinished/*")) == []
    assert await store.files.total_bytes() == 2 * CHUNK
    await store.close()


@pytest.mark.parametrize("errno", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errno: int) -> None:
    store, files, contents = await opened(tmp_path)
    await files.open()
    writer = contents.create("full")

    def write(data: bytes) -> None:
        raise OSError(errno, os.strerror(errno))

    monkeypatch.setattr(writer, "write", write)
    monkeypatch.setattr(contents, "create", lambda name: writer)
    with pytest.raises(Conflict if errno == 28 else StoreUnavailable, match="cannot be written"):
        await files.write(b"x")
    assert list((tmp_path / "files").rglob("unfinished/*")) == []
    await store.close()


async def test_memory_stays_flat(tmp_path: Path) -> None:
    store, files, _ = await opened(tmp_path)

    async def many() -> AsyncIterator[bytes]:
        for number in range(64 * 16):
            yield number.to_bytes(4, "big") * 16_384  # 64 KiB

    tracemalloc.start()
    record = await files.write(many(), lifetime=60)
    copied = await files.write(files.read(record), lifetime=60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert copied.place == record.place
    assert record.size == 64 * 1024 * 1024
    assert peak < 12 * 1024 * 1024
    await store.close()


@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd", "aa/bb/../../../x", "owner"])
async def test_a_place_is_never_outside_the_folder(tmp_path: Path, place: str) -> None:
    contents = FolderContents(tmp_path / "files")
    contents.open("me")
    for work in (contents.read, contents.path, contents.exists, contents.remove):
        with pytest.raises(ValueError, match="no place"):
            work(place)


async def test_contents_of_another_store_are_not_touched(tmp_path: Path) -> None:
    FolderContents(tmp_path / "files").open("me")
    FolderContents(tmp_path / "files").open("me")
    with pytest.raises(AICFlowError, match="belong to another"):
        FolderContents(tmp_path / "files").open("you")


async def test_contents_in_another_file_system(tmp_path: Path) -> None:
    """Any URL of fsspec; `memory://` stands for a bucket here."""
    store = SQLiteStore(tmp_path / "db")
    await store.open()
    contents = open_contents(f"memory://{tmp_path.name}")
    assert isinstance(contents, RemoteContents)
    files = Files(store.files, contents, SystemClock())
    await files.check()
    record = await files.write(b"0123456789" * 300_000, lifetime=60)
    assert await content(files, record.sha256) == b"0123456789" * 300_000
    part = b"".join([data async for data in files.read(record, 2_000_005, 2_000_015)])
    assert part == b"5678901234"
    async with files.path(record) as path:
        assert path.stat().st_size == record.size
    assert not path.exists()
    again = await files.write(b"0123456789" * 300_000, lifetime=60)
    assert again.place == record.place
    assert await files.remove_leftovers(time.time() + 60) == 0
    killed = contents.create("killed")
    killed.write(b"x")
    killed.commit(f"aa/bb/{'a' * 64}.00000000")
    assert await files.remove_leftovers(time.time() + 60) == 1
    await files.delete(record.sha256)
    assert not contents.exists(record.place)
    await files.close()
    await store.close()


def test_files_are_found_in_json_also_inside_of_strings() -> None:
    assert files_in(b'{"a":{"$blob": "' + b"a" * 64 + b'"}}') == {"a" * 64}
    assert files_in(b'{"text":"{\\"$blob\\":\\"' + b"b" * 64 + b'\\"}"}') == {"b" * 64}
    assert files_in(b'{"$blob":"abc"}', b"[]") == set()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("${{ nodes.write.output.file }}", None),
        ("${{ nodes.write.output.file.name }}", "type"),
        ("${{ nodes.write.output }}", "type"),
        ("${{ nodes.write.output.fiel }}", "type"),
    ],
)
def test_validation_tells_a_file_from_anything_else(given: str, said: str | None) -> None:
    plugins = installed_plugins()
    for cls in (Write, Read):
        plugins.registry.register(cls)
    nodes = [DOCUMENT["nodes"][0], {"id": "read", "type": "test.read_file", "params": {"file": given}}]  # type: ignore[index]
    issues = validate({**DOCUMENT, "nodes": nodes, "output": "${{ nodes.write.output.file.size }}"}, plugins.registry)
    errors = [issue for issue in issues if issue.severity == "error"]
    assert [issue.code.partition(".")[0] for issue in errors] == ([] if said is None else [said])
