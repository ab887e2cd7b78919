"""Finding secrets in bytes, in every form that they take: told apart from how the product hides them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick

_SHORT = 8  # shorter forms are in any bytes by chance
_WINDOW = 16
_HEAD = "-----BEGIN PRIVATE KEY-----"  # says nothing


class Leaks:
    """The forms of some secrets, by name, and where they are found. Of long secrets also every piece of 16 characters,
    which is left where something was cut."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._told: dict[bytes, str] = {}
        for name, value in secrets.items():
            for kind, form in _forms(value):
                if len(form) >= _SHORT or kind == "plain":
                    self._told.setdefault(form, f"{name} ({kind})")
            for at in range(len(value) - _WINDOW if len(value) > 2 * _WINDOW else 0):
                piece = value[at : at + _WINDOW]
                if "\n" not in piece and piece not in _HEAD:
                    self._told.setdefault(piece.encode(), f"{name} (a piece)")
        self._forms = list(self._told)
        self._search = BytesAhoCorasick(self._forms)

    def found(self, content: bytes) -> dict[str, str]:
        """What is in the content, and the bytes around its first place."""
        found: dict[str, str] = {}
        for index, start, end in self._search.find_matches_as_indexes(content, overlapping=True):
            told = self._told[self._forms[index]]
            found.setdefault(told, content[max(start - 60, 0) : end + 40].decode("utf-8", "backslashreplace"))
        return found


def _forms(value: str) -> Iterator[tuple[str, bytes]]:
    raw = value.encode()
    yield "plain", raw
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield "url", quoted.encode()
    for once in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield "json", once.encode()
        yield "json in json", json.dumps(once)[1:-1].encode()
    yield "pointer", value.replace("~", "~0").replace("/", "~1").encode()
    yield "html", html.escape(value).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # the characters that the secret alone decides, whatever stands around it
            first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
            yield f"base64 at {before}", encode(b"\0" * before + raw + b"\0\0")[first:last]
