"""Saying things: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["OutputFormat", "complain", "console", "print_json"]

type OutputFormat = Literal["text", "json"]


def complain(message: str, *, hint: str | None = None) -> None:
    """One clear sentence about what went wrong, and what to do."""
    print(f"error: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr)


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """rich's console; it writes plain text where there is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty())
