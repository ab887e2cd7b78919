"""Reading documents strictly: bytes that may be hostile become JSON values, or an error that says the place.

Knows JSON and YAML, nothing of workflows. Imports no web framework, so the command line can use it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic_core import from_json

from aicflow.host.positions import Position, Positions, json_positions, place_of_duplicate, place_of_index
from aicflow.kernel.errors import DocumentUnreadable

__all__ = ["DEFAULT_LIMITS", "DocumentFormat", "Limits", "SourceDocument", "read_document", "read_json"]

type DocumentFormat = Literal["json", "yaml"]

_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_PLACE: Final = re.compile(r" at line (\d+) column (\d+)\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be: bytes as written, levels of nesting, values once aliases are expanded."""

    max_bytes: int = 5 * 1024 * 1024
    max_depth: int = 64
    max_values: int = 500_000


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A value and where its parts stand in the text. Finding positions of JSON costs a pass over the text, so ask for
    all at once."""

    value: Any
    find_positions: Callable[[Iterable[str]], Positions]

    def position(self, pointer: str) -> Position | None:
        """Line and column (from 1) of what the pointer names, or of its nearest existing parent."""
        return self.find_positions([pointer]).of(pointer)


def read_document(data: bytes, format: DocumentFormat, limits: Limits = DEFAULT_LIMITS) -> SourceDocument:
    """The document in the bytes. Raises DocumentUnreadable."""
    if format == "yaml":
        from aicflow.host.yaml_reader import read_yaml

        value, positions = read_yaml(_text(data, limits), limits)
        return SourceDocument(value, lambda _: positions)
    value = read_json(data, limits)
    return SourceDocument(value, lambda wanted: json_positions(data.removeprefix(_BOM).decode(), wanted))


def read_json(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of a JSON text: a duplicate key, a number out of range, NaN and lone surrogates are errors.

    Raises DocumentUnreadable with line and column.
    """
    text = _text(data, limits)
    if _SURROGATE.search(text) is not None:
        _check_syntax(text, limits)  # json.loads takes half a pair
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
    except _Duplicate as error:
        line, column = place_of_duplicate(text)
        raise DocumentUnreadable(
            f"Duplicate key {error.key!r} in an object.", code="doc.duplicate-key", line=line, column=column
        ) from None
    except _OutOfRange as error:
        line, column = place_of_index(text, text.find(error.number))
        raise DocumentUnreadable(
            f"The number {error.number[:40]} is out of range.", code="doc.number", line=line, column=column
        ) from None
    except (ValueError, RecursionError):
        _check_syntax(text, limits)
        raise
    check_depth(value, limits)
    return value


def _check_syntax(text: str, limits: Limits) -> None:
    """Raise DocumentUnreadable with the place where the text is not JSON."""
    try:
        from_json(text, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise _syntax(str(error), limits) from None


def check_depth(value: Any, limits: Limits) -> None:
    """Raise DocumentUnreadable when the value is nested deeper than the limit."""
    level: list[Any] = [value]
    for _ in range(limits.max_depth + 1):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        if not deeper:
            return
        level = deeper
    raise too_deep(limits)


def too_deep(limits: Limits, line: int | None = None, column: int | None = None) -> DocumentUnreadable:
    """The error for a document that is nested too deep."""
    return DocumentUnreadable(
        f"The document is nested deeper than {limits.max_depth} levels.",
        code="doc.too-deep",
        line=line,
        column=column,
    )


def _text(data: bytes, limits: Limits) -> str:
    if len(data) > limits.max_bytes:
        raise DocumentUnreadable(
            f"The document has {len(data):,} bytes; {limits.max_bytes:,} are accepted.", code="doc.too-large"
        )
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = place_of_index(before, len(before))
        raise DocumentUnreadable(
            "The document is not UTF-8 text.", code="doc.encoding", line=line, column=column
        ) from None


def _syntax(message: str, limits: Limits) -> DocumentUnreadable:
    """The parser's complaint as ours, with its place taken out of the sentence."""
    found = _PLACE.search(message)
    line, column = (int(found[1]), max(int(found[2]), 1)) if found else (None, None)
    reason = _PLACE.sub("", message)
    if reason.startswith("recursion limit"):
        return too_deep(limits, line, column)
    if reason.startswith("EOF"):
        reason = "it ends too early"
    return DocumentUnreadable(f"The document is not JSON: {reason}.", line=line, column=column)


class _Duplicate(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


class _OutOfRange(Exception):
    def __init__(self, number: str) -> None:
        self.number = number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return out


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise _OutOfRange(number)
    return value
