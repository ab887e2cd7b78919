"""The hostile corpus and its honest controls, guarded, with every Python-level guard off, and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CATEGORIES = {
    "cancellation", "decompression", "environment", "exceptions", "exits", "files", "forged", "format", "frames",
    "honest", "host-memory", "huge-ints", "import", "introspection", "loops", "memory", "native", "network", "output",
    "pickle", "privileges", "processes", "recursion", "regex", "results", "signals", "state", "threads",
    "unix-sockets",
}  # fmt: skip


def test_every_category_has_cases(corpus: ModuleType) -> None:
    assert {case.category for case in corpus.cases()} == CATEGORIES


@pytest.mark.slow
async def test_every_case_ends_as_expected_and_leaves_a_healthy_sandbox(corpus: ModuleType) -> None:
    assert await corpus.run_all(corpus.cases(), guarded=True) == []


@pytest.mark.slow
async def test_the_operating_system_alone_holds(corpus: ModuleType) -> None:
    assert await corpus.run_all(corpus.cases(), guarded=False) == []


@pytest.mark.slow
def test_an_ordinary_user_is_held_too(corpus: ModuleType) -> None:
    """Seccomp, Landlock and limits need no privilege; there is no user to drop to."""
    runner = [sys.executable, str(Path(__file__).with_name("corpus_runner.py")), "--unguarded"]
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        pytest.skip("setpriv and unshare (util-linux) are needed to become an ordinary user")
    # In a mount namespace of its own, root's home becomes passable, so that an interpreter installed there can be read.
    real = Path(sys.executable).resolve()
    home = Path.home().resolve()
    script = 'exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp "$@"'
    if real.is_relative_to(home):
        top = home / real.relative_to(home).parts[0]
        script = (
            f"set -e; seen=$(mktemp -d); mount --bind {top} $seen; mount -t tmpfs -o mode=755 tmpfs {home}; "
            f"mkdir {top}; mount --move $seen {top}; cd /; {script}"
        )
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    probe = subprocess.run([*command, sys.executable, "-c", "import aicflow_python"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"an ordinary user cannot run this interpreter here: {probe.stderr.strip()[-300:]}")
    done = subprocess.run([*command, *runner], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"uid": 65534, "problems": []}
