"""The command line: `aicflow …`. What a command needs is imported when it runs, so that starting is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; leaves with the command's exit code."""
    try:
        from aicflow.cli.program import run_program

        code = run_program(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # while our own modules are read
        code = 130
    sys.exit(code)
