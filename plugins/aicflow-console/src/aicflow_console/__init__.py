"""The web console: its pages, built before they are packed, under /console."""

from __future__ import annotations

from collections.abc import Sequence

from aicflow import Mount, Runtime, hookimpl

__all__ = ["aicflow_routes"]


@hookimpl
def aicflow_routes(runtime: Runtime) -> Sequence[Mount]:
    """The console. It needs no key, for it tells nothing: what it shows it asks the API for, with a session."""
    from aicflow_console.app import console_app

    return [Mount("/console", console_app(), public=True)]
