"""The data folder: what lies in it, who may read it, and how a client on the same machine finds the server."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from aicflow.kernel.errors import AICFlowError


def default_data_dir() -> Path:
    """`AICFLOW_DATA_DIR`, or `~/.aicflow`."""
    given = os.environ.get("AICFLOW_DATA_DIR")
    return Path(given).expanduser() if given else Path.home() / ".aicflow"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server on this machine."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths and files of one data folder; the server's secret may lie elsewhere."""

    path: Path
    own_secret_file: Path | None = None

    def prepare(self) -> None:
        """Make the folder, for its owner only when it is new. Raises AICFlowError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
            raise AICFlowError(
                f"The data folder {self.path} cannot be used: {reason}.",
                hint="Set AICFLOW_DATA_DIR to a folder that this user can write to.",
            ) from error

    @property
    def admin_key_file(self) -> Path:
        return self.path / "admin.key"

    @property
    def server_file(self) -> Path:
        return self.path / "server.json"

    @property
    def secret_file(self) -> Path:
        return self.own_secret_file or self.path / "server.secret"

    @property
    def secrets_key_file(self) -> Path:
        return self.path / "secrets.key"

    @property
    def trusted_keys_file(self) -> Path:
        return self.path / "plugins" / "trusted-keys"

    @property
    def signatures_dir(self) -> Path:
        """Signatures of installed plugins that do not bring their own: `NAME-VERSION.sig`."""
        return self.path / "plugins"

    def server_secret(self) -> bytes:
        """The secret under which API keys are hashed; made at the first start. Raises AICFlowError when damaged."""
        self.prepare()
        with contextlib.suppress(FileExistsError):
            write_private(self.secret_file, secrets.token_hex(32) + "\n", replace=False)
        try:
            secret = bytes.fromhex(self.secret_file.read_text("ascii").strip())
        except (OSError, ValueError) as error:
            raise AICFlowError(
                f"The server's secret {self.secret_file} cannot be read: {error}.",
                hint="Restore it from a backup; removing it makes every API key invalid.",
            ) from error
        if len(secret) < 32:
            raise AICFlowError(f"The server's secret {self.secret_file} is damaged: it is shorter than 32 bytes.")
        return secret

    def files_owner(self) -> str:
        """What marks a place of files as this installation's. Raises AICFlowError."""
        return blake2b(self.server_secret(), digest_size=16, person=b"aicflow-files").hexdigest()

    def admin_key(self) -> str | None:
        """The stored admin key, or None."""
        try:
            return self.admin_key_file.read_text("ascii").strip() or None
        except (OSError, ValueError):
            return None

    def follow_rotation(self, replaced: str | None, key: str, hash_of: Callable[[str], str]) -> None:
        """When the key with the hash `replaced` is the one in the file, whoever finds it there goes on with the new
        one."""
        old = self.admin_key()
        if old is not None and replaced is not None and hmac.compare_digest(hash_of(old), replaced):
            write_private(self.admin_key_file, key + "\n")

    def server(self) -> ServerInfo | None:
        """The server that says it runs on this data folder, if its process is alive."""
        try:
            data = json.loads(self.server_file.read_text("utf-8"))
            info = ServerInfo(str(data["url"]), int(data["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        try:
            os.kill(info.pid, 0)
        except PermissionError:
            return info  # it lives and belongs to another user
        except (OSError, OverflowError):
            return None
        return info

    def announce(self, url: str) -> None:
        """Say where this process listens."""
        write_private(self.server_file, json.dumps({"url": url, "pid": os.getpid()}) + "\n")

    def withdraw(self) -> None:
        """Take back what `announce` said, unless another process has said something since."""
        info = self.server()
        if info is None or info.pid == os.getpid():
            self.server_file.unlink(missing_ok=True)


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file only its owner can read, whole or not at all. Raises FileExistsError unless `replace`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
