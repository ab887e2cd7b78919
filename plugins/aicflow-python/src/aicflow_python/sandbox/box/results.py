"""Turns what the author returned into JSON, or says where it is none."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from .files import InputFile, NewFile, file_json
from .wire import encoder

RESULTS: Final = encoder(file_json)

HINTS = {
    "datetime": "use .isoformat()",
    "date": "use .isoformat()",
    "time": "use .isoformat()",
    "timedelta": "use .total_seconds()",
    "Decimal": "use str(…) or float(…)",
    "Fraction": "use str(…) or float(…)",
    "UUID": "use str(…)",
    "set": "use sorted(…) or list(…)",
    "frozenset": "use sorted(…) or list(…)",
    "bytes": "use .decode() or base64.b64encode(…).decode()",
    "bytearray": "use .decode()",
    "generator": "use list(…)",
    "map": "use list(…)",
    "filter": "use list(…)",
    "dict_keys": "use list(…)",
    "dict_values": "use list(…)",
    "dict_items": "use dict(…)",
    "coroutine": "await it",
    "ndarray": "use .tolist()",
    "function": "call it",
}


class NotJSON(TypeError):
    """What the code returned is not a JSON value."""


def encode_result(value: Any) -> bytes:
    """The value as JSON. Raises NotJSON with the place of the first part that is none."""
    try:
        return RESULTS.encode(value).encode()
    except UnicodeEncodeError:
        raise NotJSON("The result holds text with half a surrogate pair, which JSON cannot carry.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJSON(find(value, "result", set(), 0) or f"The result is not a JSON value: {error}") from None


def find(value: Any, path: str, inside: set[int], depth: int) -> str | None:
    """Where the first part is that JSON has no word for."""
    if value is None or isinstance(value, bool | str | int | InputFile | NewFile):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} is {value!r}, which JSON cannot carry; return None instead."
    if not isinstance(value, dict | list | tuple):
        name = type(value).__name__
        hint = HINTS.get(name)
        if hasattr(type(value), "__dataclass_fields__"):
            hint = "use dataclasses.asdict(…)"
        return f"{path} is of type {name}, which is not a JSON value{'; ' + hint if hint else ''}."
    if id(value) in inside:
        return f"{path} contains itself."
    if depth > 100:
        return f"{path[:60]}… is nested more than 100 levels deep."
    inside.add(id(value))
    found = None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str | int | float | bool | None):
                return f"{path} has a key of type {type(key).__name__}; JSON keys are text."
            found = find(item, f"{path}[{json.dumps(key)}]", inside, depth + 1)
            if found:
                return found
    else:
        for index, item in enumerate(value):
            found = find(item, f"{path}[{index}]", inside, depth + 1)
            if found:
                return found
    inside.discard(id(value))
    return found
