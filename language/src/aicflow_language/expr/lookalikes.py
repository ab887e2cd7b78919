"""Characters that look like ASCII and are not: what to call them, and what was probably meant."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["describe", "plain_spelling"]

_LETTERS: Final = dict(
    zip(
        "аеорсухіјѕԁһԛԝАВЕКМНОРСТХІЈЅαινορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijsdhqwABEKMHOPCTXIJSaivopuxABEZHIKMNOPTYX",
        strict=True,
    )
)

_SIGNS: Final = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "´": "'",
    "–": "-", "—": "-", "−": "-", "‐": "-", "×": "*", "÷": "/", "∕": "/", "⁄": "/", "≤": "<=", "≥": ">=",
    "≠": "!=", "…": "...", "٪": "%",
}  # fmt: skip

_NAMED: Final = {" ": "a space", "": "nothing"}


def plain_spelling(character: str) -> str | None:
    """The ASCII that the character looks like, quoted for a message; None when it looks like nothing known."""
    found = _LETTERS.get(character) or _SIGNS.get(character)
    if found is None:
        category = unicodedata.category(character)
        if category == "Cf":
            return _NAMED[""]
        if category == "Zs":
            return _NAMED[" "]
        folded = unicodedata.normalize("NFKC", character)
        found = folded if folded.isascii() and folded != character and folded.isprintable() else None
        if found == " ":
            return _NAMED[" "]
    return f"'{found}'" if found else None


def describe(character: str) -> str:
    """The character with its code point and its Unicode name, so that it can be found."""
    name = unicodedata.name(character, "an unnamed character")
    shown = f"'{character}' " if character.isprintable() and not character.isspace() else ""
    return f"{shown}(U+{ord(character):04X} {name})"
