"""Values that JSON has no word for: what is written instead, and why others are refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any, Final
from uuid import UUID

from aicflow_sdk.models import StoredFile

NOTHING: Final = object()
_HINTS: Final = {
    "Decimal": "write str(value), or float(value) when its exact digits do not matter",
    "timedelta": "write value.total_seconds()",
    "set": "write sorted(value)",
    "bytes": "write base64.b64encode(value).decode()",
    "Node": "write {id}.output for what it returns",
    "Port": "write node.output: data does not leave by a port",
    "Maybe": "name the field that may be missing: value.maybe.field",
}


def instant(value: datetime) -> str:
    """An aware datetime as the API reads it. Raises ValueError for one without a time zone."""
    if value.tzinfo is None:
        raise ValueError("has no time zone; write datetime.now(UTC) or .replace(tzinfo=UTC)")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def simpler(value: Any) -> Any:
    """What is written for a value: a datetime (with its zone), date or time as ISO 8601, a UUID as text, an enum as its
    value, a file as an input names it, a dataclass as an object of its fields. NOTHING for everything else. Raises
    ValueError."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, StoredFile):
        return value.file
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return NOTHING


def not_json(value: Any) -> str:
    """Why a value is refused."""
    name = type(value).__name__
    hint = _HINTS.get(name, "give text, numbers, booleans, None, lists, dicts, datetimes, UUIDs or dataclasses")
    return f"a value of type {name} is not JSON; {hint.format(id=getattr(value, 'id', 'node'))}"


def plain_json(value: Any, where: str = "", known: Callable[[Any, str], Any] = lambda value, where: NOTHING) -> Any:
    """The value with everything in it as JSON has it. `known` is asked first what is written for a value, or for a key;
    it returns NOTHING for what it does not know. Raises TypeError or ValueError that names the place, such as
    `input.lines[0].price`."""
    found = known(value, where)
    if found is not NOTHING:
        return found
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} is not a JSON number")
    if isinstance(value, Mapping):
        return {
            _key(key, where): plain_json(item, f"{where}.{key}" if where else str(key), known)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain_json(item, f"{where}[{index}]", known) for index, item in enumerate(value)]
    if not isinstance(value, Enum) and (value is None or isinstance(value, str | bool | int | float)):
        return value
    try:
        found = simpler(value)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None
    if found is NOTHING:
        raise TypeError(f"{where}: {not_json(value)}")
    return plain_json(found, where, known)


def _key(key: Any, where: str) -> str:
    found = simpler(key)
    if isinstance(key, str | int) or isinstance(found, str):
        return str(key if found is NOTHING else found)
    raise TypeError(f"{where}: the key {key!r} is not text")
