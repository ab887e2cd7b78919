"""Node types for tables in files: read rows, write rows, transform a table, split it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from aicflow import Context, File, Issue, Node, Output, Params, PermanentError
from aicflow_language.expr import ExpressionError, compile_expression
from pydantic import Field, JsonValue
from pydantic.config import JsonDict

from aicflow_files.reading import read_table
from aicflow_files.tables import BATCH, Layout, Row, Tally, Type
from aicflow_files.threads import in_thread, named, steps
from aicflow_files.transforming import Recipe, transformed
from aicflow_files.writing import csv_pieces, xlsx_pieces

_MOST_ROWS = 100_000
_CODE: JsonDict = {"x-aicflow": {"kind": "code"}}
_ERRORS = {
    "bad-csv": "The file is not CSV, or does not fit its columns and types",
    "bad-xlsx": "The file is not an .xlsx workbook, or has no such sheet",
    "bad-encoding": "The file is not text in its encoding",
    "bad-expression": "`where` or `select` cannot be worked out for a row",
    "too-large": "The file unpacks to more than is read",
}
_WRITTEN = {"bad-rows": "A field cannot be written: a list, an object, a text that is too long for a cell"}

type Batches = Generator[list[Row]]
type Delimiter = Annotated[str, Field(pattern=r"^(.|auto)$")]
type OutDelimiter = Annotated[str, Field(min_length=1, max_length=1)]


class TableParams(Params):
    """A file with a table in it, CSV or .xlsx, which is told from its content."""

    file: File
    encoding: str = Field(
        default="auto", description="Of CSV: `auto` goes by its byte order mark, else UTF-8; or a name: windows-1252"
    )
    delimiter: Delimiter = Field(default="auto", description="Of CSV: `auto` is the most frequent of , ; tab | in it")
    quote: OutDelimiter = '"'
    sheet: str | int = Field(default=1, description="Of a workbook: the sheet's name, or its number from 1")
    header: bool = Field(default=True, description="Whether the first row names the columns")
    columns: list[str] | None = Field(default=None, description="Names of the columns, in place of the header's")
    types: dict[str, Type] = Field(
        default_factory=dict, description="Column → type; an empty field of another type than string is null"
    )
    where: str | None = Field(
        default=None,
        max_length=4_096,
        json_schema_extra=_CODE,
        description="Expression over `item` and `vars` that is true for the rows to keep",
    )
    select: list[str] | dict[str, str] | None = Field(
        default=None,
        min_length=1,
        json_schema_extra=_CODE,
        description="The columns to keep; or new column → expression over `item` and `vars`",
    )
    vars: dict[str, Any] = Field(default_factory=dict, description="Values that expressions may use as `vars.NAME`")

    def layout(self) -> Layout:
        """How the table is written."""
        return Layout(
            encoding=self.encoding,
            delimiter=self.delimiter,
            quote=self.quote,
            header=self.header,
            columns=self.columns,
            types=self.types,
            sheet=self.sheet,
        )

    def rows(self, path: Path, tally: Tally, ctx: Context) -> tuple[list[str], Batches]:
        """The columns, and the rows in batches; the file is closed at their end."""
        file = open(path, "rb")  # noqa: SIM115 - closed where the rows end
        try:
            columns, batches = read_table(file, self.layout(), tally, redact=ctx.redact)
            recipe = Recipe(self.where, self.select, self.vars)
            columns, batches = transformed(columns, batches, recipe, tally)
        except BaseException:
            file.close()
            raise

        def closing() -> Batches:
            with file:
                yield from batches

        return columns, closing()


def _expressions(params: Mapping[str, Any]) -> Sequence[Issue]:
    """Whether `where` and `select` can be read."""
    select = params.get("select")
    found = {"/where": params.get("where")}
    if isinstance(select, Mapping):
        found |= {f"/select/{name.replace('~', '~0').replace('/', '~1')}": text for name, text in select.items()}
    issues = []
    for pointer, text in found.items():
        if isinstance(text, str):
            try:
                compile_expression(text)
            except ExpressionError as error:
                issues.append(Issue(error.code, "error", pointer, error.message, error.hint, error.span))
    return issues


class ReadRowsParams(TableParams):
    """Which table, and how much of it."""

    skip: int = Field(default=0, ge=0, description="Rows to pass over, of those that `where` keeps")
    max_rows: int | None = Field(
        default=None, ge=1, le=1_000_000, description=f"Take no more; without it, more than {_MOST_ROWS:,} are an error"
    )


class ReadRowsOutput(Output):
    """The rows as objects by column, the columns, and whether there are more rows than `max_rows`."""

    rows: list[dict[str, Any]]
    columns: list[str]
    has_more: bool


class ReadRows(Node[ReadRowsParams, ReadRowsOutput]):
    """Read a CSV file or an Excel sheet into rows.

    Rows that are shorter than the header have null in the columns that they lack; longer ones are an error, and so is a
    field that is not of its type: both name the line. Dates of a sheet become texts like 2026-01-31, formulas the
    values that were stored with them. For tables that are too large for one output, see `file.split_rows`.
    """

    type_id = "file.read_rows"
    title = "Read CSV or Excel"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        **_ERRORS,
        "too-many-rows": "The table has more rows than one output should hold",
    }

    async def run(self, ctx: Context, params: ReadRowsParams) -> ReadRowsOutput:
        """Read until there are enough."""
        tally, rows = Tally(), list[Row]()
        most = params.skip + (params.max_rows or _MOST_ROWS)
        async with ctx.files.path(params.file) as path, steps(_opened(params, path, tally, ctx)) as batches:
            async for batch in batches:
                rows += batch
                if len(rows) > most:
                    break
        if params.max_rows is None and len(rows) > most:
            raise PermanentError(
                f"The table has more than {_MOST_ROWS:,} rows.",
                code="too-many-rows",
                hint="Set max_rows to take the first ones, or use file.split_rows and a map over its files.",
            )
        return ReadRowsOutput(rows=rows[params.skip : most], columns=tally.columns, has_more=len(rows) > most)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Whether its expressions can be read."""
        return _expressions(params)


def _opened(params: TableParams, path: Path, tally: Tally, ctx: Context) -> Batches:
    """The rows; the file is opened by the first step."""
    yield from params.rows(path, tally, ctx)[1]


class Written(Params):
    """How a table is written."""

    format: Literal["csv", "xlsx"] = "csv"
    name: str | None = Field(default=None, max_length=200, description="Name of the new file")
    formulas: bool = Field(
        default=False,
        description="Let texts that begin like formulas be formulas. Else a ' goes before them in CSV, and in a "
        "workbook they stay texts",
    )
    write_delimiter: OutDelimiter = Field(default=",", description="Of CSV")
    write_encoding: str = Field(default="utf-8", description="Of CSV; `utf-8-sig` is what Excel opens without asking")
    write_header: bool = Field(default=True, description="Whether the first row names the columns")
    write_sheet: str = Field(default="Sheet1", pattern=r"^[^\[\]:*?/\\']{1,31}$", description="Of a workbook: its name")

    def pieces(self, columns: Sequence[str], batches: Iterator[list[Row]], tally: Tally) -> Iterator[bytes]:
        """The bytes of the file, and empty pieces while there are none yet."""
        if self.format == "xlsx":
            return xlsx_pieces(
                columns, batches, tally, sheet=self.write_sheet, header=self.write_header, formulas=self.formulas
            )
        return csv_pieces(
            columns,
            batches,
            tally,
            delimiter=self.write_delimiter,
            encoding=self.write_encoding,
            header=self.write_header,
            formulas=self.formulas,
        )


class WriteRowsParams(Written):
    """Rows as objects by column, or as lists of fields."""

    rows: list[dict[str, JsonValue] | list[JsonValue]]
    columns: list[str] | None = Field(default=None, description="Which columns, in this order; else all, as they come")


class TableOutput(Output):
    """The file, its columns, and how many rows it has."""

    file: File
    columns: list[str]
    rows: int


class WriteRows(Node[WriteRowsParams, TableOutput]):
    """Write rows into a CSV file or an Excel workbook.

    Null is an empty field; lists and objects inside a field are an error. Texts never become formulas unless `formulas`
    allows it.
    """

    type_id = "file.write_rows"
    title = "Write CSV or Excel"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {**_WRITTEN, "bad-encoding": "A text cannot be written in the encoding"}

    async def run(self, ctx: Context, params: WriteRowsParams) -> TableOutput:
        """Write all rows."""
        width = max((len(row) for row in params.rows if isinstance(row, list)), default=0)
        columns = list(params.columns or ())
        if params.columns is None:
            names: dict[str, None] = {}
            for row in params.rows:
                names.update(dict.fromkeys(row) if isinstance(row, dict) else {})
            columns = list(names)
        columns += [f"column_{number}" for number in range(len(columns) + 1, width + 1)]
        rows = (row if isinstance(row, dict) else dict(zip(columns, row, strict=False)) for row in params.rows)
        batches = _batched(rows)
        tally = Tally()
        name, kind = named(params.name, "rows", f".{params.format}")
        async with steps(params.pieces(columns, batches, tally)) as pieces:
            file = await ctx.files.write(pieces, name=name, type=kind)
        return TableOutput(file=file, columns=columns, rows=tally.written)


class ConvertRowsParams(TableParams, Written):
    """Which table, what becomes of its rows, and what is written."""


class ConvertOutput(Output):
    """The new file, its columns, how many rows it has, and how many `where` dropped."""

    file: File
    columns: list[str]
    rows: int
    dropped: int


class ConvertRows(Node[ConvertRowsParams, ConvertOutput]):
    """Make one table of another: CSV to Excel or back, with rows filtered and columns chosen, renamed or worked out.

    Rows go through one batch at a time, so the table may be far larger than the memory. A table with more rows than a
    sheet holds goes on in further sheets.
    """

    type_id = "file.convert_rows"
    title = "Transform CSV or Excel"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {**_ERRORS, **_WRITTEN}

    async def run(self, ctx: Context, params: ConvertRowsParams) -> ConvertOutput:
        """Read, transform and write at the same time."""
        tally = Tally()
        name, kind = named(params.name, params.file.name, f".{params.format}")
        async with ctx.files.path(params.file) as path, steps(_converted(params, path, tally, ctx)) as pieces:
            file = await ctx.files.write(_shown(pieces, tally, ctx), name=name, type=kind)
        return ConvertOutput(file=file, columns=tally.columns, rows=tally.written, dropped=tally.dropped)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Whether its expressions can be read."""
        return _expressions(params)


def _converted(params: ConvertRowsParams, path: Path, tally: Tally, ctx: Context) -> Iterator[bytes]:
    columns, batches = params.rows(path, tally, ctx)
    yield from params.pieces(columns, batches, tally)


_SHOW_EVERY = 50_000


async def _shown(pieces: AsyncIterator[bytes], tally: Tally, ctx: Context) -> AsyncIterator[bytes]:
    """The pieces; whoever watches is told how far it is."""
    told = 0
    async for piece in pieces:
        if tally.read >= told + _SHOW_EVERY:
            told = tally.read
            ctx.emit({"rows_read": tally.read, "rows_written": tally.written})
        if piece:
            yield piece


class SplitRowsParams(TableParams):
    """Which table, and how many rows a file of it gets."""

    rows_per_file: int = Field(default=10_000, ge=1, le=1_000_000)
    max_files: int = Field(default=1_000, ge=1, le=10_000, description="More are an error")


class Chunk(Output):
    """One part: a CSV file in UTF-8 with the header, how many rows it has, and the number of its first one, from 1."""

    file: File
    rows: int
    first_row: int


class SplitRowsOutput(Output):
    """The parts in order, to go over with a map."""

    chunks: list[Chunk]
    columns: list[str]
    rows: int


class SplitRows(Node[SplitRowsParams, SplitRowsOutput]):
    """Split a large table into CSV files of some thousand rows, for a map that works on one after another.

    Give `nodes.ID.output.chunks` to the map's `over`; inside, `file.read_rows` reads `chunk.file`.
    """

    type_id = "file.split_rows"
    title = "Split CSV or Excel"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {**_ERRORS, **_WRITTEN, "too-many-files": "More than `max_files` are needed"}

    async def run(self, ctx: Context, params: SplitRowsParams) -> SplitRowsOutput:
        """Write part after part."""
        tally, chunks, done = Tally(), list[Chunk](), 0
        stem = named(None, params.file.name, "")[0]
        async with ctx.files.path(params.file) as path:
            columns, batches = await in_thread(lambda: params.rows(path, tally, ctx))
            rows = chain.from_iterable(batches)
            try:
                while first := await in_thread(lambda: list(islice(rows, 1))):
                    if len(chunks) == params.max_files:
                        raise PermanentError(
                            f"The table needs more than {params.max_files} files.",
                            code="too-many-files",
                            pointer="/max_files",
                            hint="Raise rows_per_file or max_files.",
                        )
                    part = Tally()
                    batched = _batched(chain(first, islice(rows, params.rows_per_file - 1)))
                    name = f"{stem}-{len(chunks) + 1:04}.csv"
                    async with steps(csv_pieces(columns, batched, part, formulas=True)) as pieces:
                        file = await ctx.files.write(_shown(pieces, tally, ctx), name=name, type="text/csv")
                    chunks.append(Chunk(file=file, rows=part.written, first_row=done + 1))
                    done += part.written
            finally:
                with suppress(ValueError):  # a thread is still in it, and lets go of it
                    batches.close()
        return SplitRowsOutput(chunks=chunks, columns=columns, rows=done)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Whether its expressions can be read."""
        return _expressions(params)


def _batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


NODES: list[type[Node[Any, Any]]] = [ReadRows, WriteRows, ConvertRows, SplitRows]
