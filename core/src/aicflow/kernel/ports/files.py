"""The port of files: which there are, and which executions hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aicflow.kernel.ports.executions import Page
from aicflow.kernel.serialization import Instant, Internal, Record


@dataclass(frozen=True, slots=True)
class FileRecord(Record):
    """A file. It is kept until `expires_at`, and as long as `executions` hold it. `place`: where its content is."""

    sha256: str
    size: int
    type: str
    name: str | None
    created_at: Instant
    expires_at: Instant
    place: Internal[str]
    executions: int = 0


class FileStore(Protocol):
    """Which files there are, and which executions hold them (`NewExecution.files`, `append`). The contents are
    elsewhere, each durable before its file is added, and removed after its file is."""

    async def add(
        self,
        file: FileRecord,
        *,
        execution_id: str | None = None,
        quota: int | None = None,
        instead_of: str | None = None,
    ) -> FileRecord:
        """Keep a file, which the execution holds from now on. One with this content that is there stays in its place
        (unless that is `instead_of`), until the later `expires_at`; its type and name become these. Returns what is
        kept. Raises Conflict (`files-full`) when all files had more than `quota` bytes."""
        ...

    async def hold(
        self, sha256s: Collection[str], *, execution_id: str | None = None, until: float = 0.0
    ) -> Mapping[str, FileRecord]:
        """Those that are there, which stay until `until` at least; the execution, if it is there, holds them."""
        ...

    async def get(self, sha256: str) -> FileRecord:
        """Raises NotFound."""
        ...

    async def list(self, *, limit: int, cursor: str | None = None) -> Page[FileRecord]:
        """Newest first."""
        ...

    async def total_bytes(self) -> int:
        """What all files have together."""
        ...

    async def remove(self, sha256: str) -> FileRecord:
        """Raises NotFound; Conflict (`file-in-use`) while executions hold it."""
        ...

    async def expire(self, *, now: float, batch: int = 1000) -> Sequence[str]:
        """Remove up to `batch` files that have expired and that no execution holds; returns their places."""
        ...

    async def unknown(self, places: Collection[str]) -> frozenset[str]:
        """Those of the places where no file is."""
        ...
