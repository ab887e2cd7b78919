"""Cutting texts for people."""

from __future__ import annotations


def cut(text: str, limit: int) -> str:
    """The text, at most so many characters of it. The mark at the end says where the beginning of a secret may be:
    masking looks for one there. Whoever knows the secrets hides them before they cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
