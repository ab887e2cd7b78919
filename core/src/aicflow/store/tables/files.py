"""Files over a table: what is known of them and which executions hold them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Page
from aicflow.kernel.ports.files import FileRecord
from aicflow.store.checks import check_quota, file_in_use
from aicflow.store.tables.pages import page_of
from aicflow.store.tables.part import Part, Table, writes


@dataclass(slots=True)
class _Row:
    n: int
    file: FileRecord
    holders: set[str] = field(default_factory=set)

    @property
    def record(self) -> FileRecord:
        return replace(self.file, executions=len(self.holders))


class TableFiles(Part):
    """Files by their hashes. `has_execution` says whether there is one of this id."""

    def __init__(
        self, commit: Callable[[], Awaitable[None]], rows: Table, has_execution: Callable[[str], bool] = bool
    ) -> None:
        super().__init__(commit)
        self._rows = rows
        self._n = max((row.n for row in rows.values()), default=0)
        self._has_execution = has_execution

    @writes
    async def add(
        self,
        file: FileRecord,
        *,
        execution_id: str | None = None,
        quota: int | None = None,
        instead_of: str | None = None,
    ) -> FileRecord:
        row: _Row | None = self._rows.get(file.sha256)
        if row is None:
            check_quota(file, await self.total_bytes(), quota)
            self._n += 1
            row = _Row(self._n, replace(file, executions=0))
        else:
            known = row.file
            row.file = replace(
                known,
                type=known.type if file.type == "application/octet-stream" else file.type,
                name=file.name or known.name,
                expires_at=max(known.expires_at, file.expires_at),
                place=file.place if known.place == instead_of else known.place,
            )
        self._rows[file.sha256] = row
        self.hold_for(execution_id, [file.sha256])
        return row.record

    @writes
    async def hold(
        self, sha256s: Collection[str], *, execution_id: str | None = None, until: float = 0.0
    ) -> Mapping[str, FileRecord]:
        self.hold_for(execution_id, sha256s)
        found = {}
        for sha256 in sha256s:
            if (row := self._rows.get(sha256)) is not None:
                row.file = replace(row.file, expires_at=max(row.file.expires_at, until))
                self._rows[sha256] = row
                found[sha256] = row.record
        return found

    def hold_for(self, execution_id: str | None, sha256s: Collection[str]) -> None:
        """From now on the execution holds those that are there."""
        if execution_id is None or not self._has_execution(execution_id):
            return
        for sha256 in sha256s:
            if (row := self._rows.get(sha256)) is not None:
                row.holders.add(execution_id)
                self._rows[sha256] = row

    def forget_executions(self, ids: set[str]) -> None:
        """They hold nothing any more."""
        for sha256, row in list(self._rows.items()):
            if row.holders & ids:
                row.holders -= ids
                self._rows[sha256] = row

    def held_by(self, ids: set[str]) -> list[str]:
        """Files that none but these executions hold."""
        return [sha256 for sha256, row in self._rows.items() if row.holders and row.holders <= ids]

    def let_expire(self, sha256: str) -> bool:
        """Whether it was there, held by nobody; it has expired now."""
        row: _Row | None = self._rows.get(sha256)
        if row is None or row.holders or row.file.expires_at <= 0:
            return False
        row.file = replace(row.file, expires_at=0.0)
        self._rows[sha256] = row
        return True

    async def get(self, sha256: str) -> FileRecord:
        row: _Row | None = self._rows.get(sha256)
        if row is None:
            raise NotFound("file", sha256)
        return row.record

    async def total_bytes(self) -> int:
        return sum(row.file.size for row in self._rows.values())

    @writes
    async def remove(self, sha256: str) -> FileRecord:
        record = await self.get(sha256)
        if record.executions:
            raise file_in_use(record)
        del self._rows[sha256]
        return record

    @writes
    async def expire(self, *, now: float, batch: int = 1000) -> Sequence[str]:
        unused = [row.file for row in self._rows.values() if not row.holders and row.file.expires_at <= now][:batch]
        for file in unused:
            del self._rows[file.sha256]
        return [file.place for file in unused]

    async def unknown(self, places: Collection[str]) -> frozenset[str]:
        return frozenset(places) - {row.file.place for row in self._rows.values()}

    # last in the class, so that `list` means the type everywhere above
    async def list(self, *, limit: int, cursor: str | None = None) -> Page[FileRecord]:
        rows = self._rows.values()
        return page_of("files", rows, lambda row: (row.n, 0), lambda row: row.record, limit=limit, cursor=cursor)
