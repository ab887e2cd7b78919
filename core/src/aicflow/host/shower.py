"""Records as JSON objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, get_type_hints

from aicflow.kernel.clock import iso
from aicflow.kernel.serialization import Instant


def shower(record: type) -> Callable[[Any], dict[str, Any]]:
    """What turns records of this type into JSON objects by the rules at their fields, one level deep: values that are
    of any size are taken as they are. pydantic's own serializer takes five times as long for records of this size."""
    hints = get_type_hints(record, include_extras=True)
    names = [field.name for field in fields(record) if not _is_internal(hints[field.name])]
    instants = [name for name in names if hints[name] in (Instant, Instant | None)]
    values = attrgetter(*names)

    def show(value: Any) -> dict[str, Any]:
        out = dict(zip(names, values(value), strict=True))
        for name in instants:
            if (instant := out[name]) is not None:
                out[name] = iso(instant)
        return out

    return show


def _is_internal(hint: Any) -> bool:
    return any(getattr(mark, "exclude", False) for mark in getattr(hint, "__metadata__", ()))
