"""The command line: `aicflow …`. What a command needs is imported when it runs, so that starting is quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

_SERVER: Final = frozenset(
    (
        "cyclopts",
        "fastapi",
        "langgraph",
        "pydantic_settings",
        "prometheus_client",
        "rich",
        "uvicorn",
        "websockets",
        "yaml",
    )
)
"""What `aicflow[server]` brings and `pip install aicflow` alone does not."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; leaves with the command's exit code."""
    gc.set_threshold(50_000, 20, 20)  # what imports create stays: looking for garbage in it costs a tenth of the start
    try:
        from aicflow.cli.program import run_program

        code = run_program(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # while our own modules are read
        code = 130
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _SERVER:
            raise
        print("error: This is aicflow alone; the command needs: pip install 'aicflow[standard]'", file=sys.stderr)
        code = 2
    sys.exit(code)
