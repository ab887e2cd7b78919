"""The data folder: files only their owner reads, and finding the server that runs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aicflow.host.datadir import DataDir, write_private
from aicflow.kernel.errors import AICFlowError


def test_a_server_is_found_while_it_lives(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "a" / "b")
    assert data.server() is None
    data.prepare()
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700
    data.announce("http://127.0.0.1:1")
    info = data.server()
    assert info is not None
    assert (info.url, info.pid) == ("http://127.0.0.1:1", os.getpid())
    data.withdraw()
    assert data.server() is None

    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    data.server_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": gone.pid}))
    assert data.server() is None, "it was killed"
    for text in ("", "[]", "{}", '{"url": 1, "pid": "x"}', '{"url": "u", "pid": 1e99}', "\ud800"):
        data.server_file.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert data.server() is None


def test_what_another_server_announced_stays(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.server_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getppid()}))
    data.withdraw()
    assert data.server() is not None


def test_the_secret_is_made_once_and_never_replaced_when_damaged(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    secret = data.server_secret()
    assert len(secret) == 32
    assert data.server_secret() == secret
    assert stat.S_IMODE(data.secret_file.stat().st_mode) == 0o600
    for damaged in ("", "abcd", "zz" * 32):
        data.secret_file.write_text(damaged)
        with pytest.raises(AICFlowError):
            data.server_secret()
    assert list(tmp_path.glob(".server*")) == [], "no temporary files are left"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AICFlowError, match="cannot be used"):
        DataDir(tmp_path / "file" / "x").prepare()
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "file", "y", replace=False)
    assert (tmp_path / "file").read_text() == ""
