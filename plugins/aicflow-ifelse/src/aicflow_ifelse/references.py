"""Whether params as written in a document hold references that are not yet resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["refers"]

_REFERENCE = re.compile(r"(?<!\$)\$\{\{")


def refers(value: Any) -> bool:
    """Whether there is a reference anywhere in the value. Where there is none, the params model has seen everything,
    and a check beside it would only say the same again."""
    if isinstance(value, str):
        return _REFERENCE.search(value) is not None
    if isinstance(value, Mapping):
        return any(refers(item) for item in value.values())
    return isinstance(value, list) and any(refers(item) for item in value)
