"""A secret as an expression sees it: a name, and nothing that could be read."""

from __future__ import annotations

from typing import final

__all__ = ["Secret"]


@final
class Secret:
    """An opaque secret. It holds no value; whoever resolves a param turns the name into text at the last moment."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"
