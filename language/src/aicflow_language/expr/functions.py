"""Which implementation each function has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from aicflow_language.expr import numeric, structural, textual

__all__ = ["IMPLEMENTATIONS"]

IMPLEMENTATIONS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "len": structural.length,
        "str": structural.to_text,
        "int": structural.to_int,
        "float": structural.to_float,
        "sum": numeric.total,
        "min": numeric.smallest,
        "max": numeric.largest,
        "any": numeric.any_of,
        "all": numeric.all_of,
        "abs": numeric.absolute,
        "round": numeric.rounded,
        "sorted": numeric.sorted_list,
        "lower": textual.lower,
        "upper": textual.upper,
        "strip": textual.strip,
        "split": textual.split,
        "replace": textual.replace,
        "startswith": textual.startswith,
        "endswith": textual.endswith,
        "join": textual.join,
        "keys": structural.keys,
        "values": structural.values,
        "get": structural.get,
        "json": structural.to_json,
        "parse_json": structural.parse_json,
        "has": structural.has,
    }
)
"""Each is called with the site of the call, the frame, and the values of the arguments."""
