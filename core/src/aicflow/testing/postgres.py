"""A PostgreSQL server of the tests' own, started from the binaries that are installed on the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MISSING = "No PostgreSQL is installed here (Debian: apt install postgresql): what needs one is not tested."


def binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    found = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(found).parent] if found else [])]
    whole = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return max(whole, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    return [int(part) for part in folder.parent.name.split(".") if part.isdigit()]


class Postgres:
    """A server, with a database for each who asks. Its log of writes can have a folder of its own."""

    def __init__(self, folder: Path, bin_folder: Path, wal: Path | None = None) -> None:
        self.folder, self._bin = folder, bin_folder
        self.port = _free_port()
        self._user = _unprivileged()
        self._count = 0
        if self._user is not None:
            shutil.chown(folder, self._user)
        made = ("-U", "aicflow", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        apart = () if wal is None else ("-X", str(wal))
        self._run("initdb", "-D", str(folder / "data"), *made, *apart)

    def _run(self, program: str, *arguments: str, **more: Any) -> None:
        subprocess.run(
            [str(self._bin / program), *arguments],
            check=True,
            capture_output=True,
            user=self._user,
            cwd=self.folder,
            timeout=120,
            **more,
        )

    def start(self, **settings: str) -> None:
        """Start, or start again."""
        given = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        options = " ".join(f"-c {name}={value or repr(value)}" for name, value in {**given, **settings}.items())
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://aicflow@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._count += 1
        name = f"test_{self._count}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "aicflow", name)
        return self.url(name)


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """A folder that whoever runs the server can reach; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="aicflow-postgres-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        yield Path(place)


@contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    """A server that is gone afterwards. `settings` are PostgreSQL's own."""
    folder = binaries()
    assert folder is not None, MISSING
    with postgres_folder() as place:
        server = Postgres(place, folder)
        server.start(**settings)
        try:
            yield server
        finally:
            server.stop()


def _unprivileged() -> str | None:
    """Who runs the server: it refuses root."""
    return "postgres" if os.name == "posix" and os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
