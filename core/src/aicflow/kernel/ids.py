"""Identifiers: what a name in a document may look like."""

from __future__ import annotations

import re

MAX_ID_LENGTH = 64
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPE_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\Z")


def is_identifier(text: str) -> bool:
    """Whether the text may name a node or trigger: letters, digits and `_`, so that expressions can say it."""
    return len(text) <= MAX_ID_LENGTH and _IDENTIFIER.match(text) is not None


def is_type_id(text: str) -> bool:
    """Whether the text may name a node or trigger type: lower-case words joined by dots, such as `http.request`."""
    return len(text) <= MAX_ID_LENGTH and _TYPE_ID.match(text) is not None
