"""The disk is full, or someone else holds the database: executions wait and go on, and nothing is half written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.conftest import sqlite_only
from tests.faults.processes import Refused, Site, until
from tests.faults.workflows import DOCUMENTS, EXPECTED, document, effect

BIG = document(
    "big",
    [
        effect("a"),
        {"id": "s", "type": "faults.effect", "params": {"word": "s", "before": 0.3}},
        {"id": "p", "type": "faults.effect", "params": {"word": "${{ input }}"}},
        effect("z"),
    ],
    ["a > s", "s > p", "p > z"],
)


def full(site: Site) -> bool:
    return "is full" in site.log()


@sqlite_only
def test_a_database_that_may_not_grow(site: Site) -> None:
    worker = site.worker().up()
    for name in ("chain", "report", "calls", "fails"):
        worker.ask("save", workflow_id=name, document=DOCUMENTS[name])
    worker.ask("save", workflow_id="slow", document=document("slow", [effect("s", before=0.3), effect("z")], ["s > z"]))
    ids = {worker.ask("start", workflow_id="slow"): "slow" for _ in range(20)}
    with closing(sqlite3.connect(site.spec.db)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    worker.ask("set_max_pages", pages=pages)
    refusals = []
    for i in range(40):
        name = ("chain", "calls", "fails")[i % 3]
        try:
            ids[worker.ask("start", workflow_id=name, input={"n": 1})] = name
        except Refused as refusal:
            refusals.append(str(refusal))
    assert refusals
    assert all("is full" in refusal for refusal in refusals)
    until(lambda: full(site))
    time.sleep(1.0)
    stuck = site.world().check("while it is full")
    assert any(not one.ended for one in stuck.executions.values())
    worker.ask("set_max_pages", pages=1_000_000)
    world = site.settled(list(ids)).check()
    for execution, name in ids.items():
        story = world.executions[execution]
        if name == "slow":
            assert (story.status, dict(story.words())) == ("succeeded", {"s-begins": 1, "s": 1, "z": 1})
        else:
            assert EXPECTED[name].broken(world, story, {"n": 1}) is None, story.story()
    assert len([one for one in world.executions.values() if one.row["trigger_kind"] == "api"]) == len(ids)


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A small file system in memory over a folder, for the time of the block."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "4m"):
        yield folder


def fill(ballast: Path) -> None:
    """Leave no room."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    site = Site(small_disk / "site")
    site.spec = type(site.spec)(str(small_disk / "site" / "db"), str(tmp_path / "ledger"), str(tmp_path / "log"))
    (tmp_path / "ledger").touch()
    try:
        worker = site.worker().up()
        worker.ask("save", workflow_id="big", document=BIG)
        ids = [worker.ask("start", workflow_id="big", input=f"w{i}") for i in range(10)]
        ballast = small_disk / "ballast"
        fill(ballast)
        # what still fits into the log goes on; starts of a size that does not fit are refused, not swallowed
        with pytest.raises(Refused, match=r"is full|cannot be"):  # noqa: PT012
            while True:
                ids.append(worker.ask("start", workflow_id="big", input=f"w{len(ids)}" + "x" * 50_000))
        time.sleep(1.0)
        ballast.unlink()
        world = site.settled(ids).check()
        assert {world.executions[one].status for one in ids} == {"succeeded"}
        for one in ids:
            assert set(world.executions[one].words().values()) == {1}
        worker.kill()
        with closing(sqlite3.connect(site.spec.db)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    finally:
        site.close()


@sqlite_only
@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN; SELECT count(*) FROM executions"])
def test_a_database_that_someone_else_holds(make_site: Callable[..., Site], lock: str) -> None:
    site = make_site(busy_seconds=0.2)
    worker = site.worker().up()
    for name, given in DOCUMENTS.items():
        worker.ask("save", workflow_id=name, document=given)
    names = ["chain", "fan", "fails", "calls", "waits"]
    ids = {worker.ask("start", workflow_id=name, input={"n": i}): (name, {"n": i}) for i, name in enumerate(names * 3)}
    with closing(sqlite3.connect(site.spec.db, timeout=20, isolation_level=None)) as holder:
        for statement in lock.split("; "):
            holder.execute(statement).fetchall()
        time.sleep(2.5)
        if "IMMEDIATE" in lock:
            with pytest.raises(Refused, match="locked"):
                worker.ask("start", workflow_id="chain", input={"n": 0})
            holder.execute("ROLLBACK")
        else:  # a reader keeps nobody from writing
            started = worker.ask("start", workflow_id="chain", input={"n": 99})
            ids[started] = ("chain", {"n": 99})
            site.settled(list(ids))
            holder.execute("COMMIT")
    world = site.settled(list(ids)).check()
    for execution, (name, given) in ids.items():
        assert EXPECTED[name].broken(world, world.executions[execution], given) is None
