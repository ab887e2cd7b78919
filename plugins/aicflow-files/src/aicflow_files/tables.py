"""What a table in a file is: its layout, its rows in batches, and what is counted while they go by. Reading, changing
and writing work on open binary files, a batch at a time, so that a table may be larger than the memory; they know no
event loop and no node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

type Format = Literal["csv", "xlsx"]
type Type = Literal["string", "integer", "number", "boolean"]
type Row = dict[str, Any]
type Batches = Iterator[list[Row]]

BATCH: Final = 500
"""Rows that are worked on at a time: few enough for the limits of one expression."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written. `encoding` and `delimiter` may be `auto`. `columns`: names in place of the header's.
    `sheet`: a name, or a number from 1."""

    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = '"'
    header: bool = True
    columns: Sequence[str] | None = None
    types: Mapping[str, Type] = field(default_factory=dict)
    sheet: str | int = 1


@dataclass(slots=True)
class Tally:
    """What is known when the last row has gone by: how many were read, dropped and written, and the columns."""

    read: int = 0
    dropped: int = 0
    written: int = 0
    columns: list[str] = field(default_factory=list)
