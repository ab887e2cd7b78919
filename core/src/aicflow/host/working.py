"""A host that only runs executions: no API, no triggers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from aicflow.host.runtime import running
from aicflow.host.serve import set_up_host_logging
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins


def work(settings: Settings, *, say: Callable[[str], None]) -> int:
    """Run executions until SIGTERM or SIGINT; returns the exit code. Raises AICFlowError when it cannot start."""
    set_up_host_logging(settings)
    os.umask(0o077)
    asyncio.run(_work(settings, say))
    return 0


async def _work(settings: Settings, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    async with running(
        settings, installed_plugins(settings.blocked_plugins, policy=settings.plugin_policy), triggers=False
    ):
        say(f"AIC Flow runs executions (process {os.getpid()})")
        await stop.wait()
        say("Stopping: what runs ends, or goes on elsewhere.")
