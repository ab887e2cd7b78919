"""The installed plugins as commands use them: `aicflow plugins` reports their problems, other commands do not."""

from __future__ import annotations

import logging
import os

from aicflow.host.plugins import Plugins
from aicflow.host.provenance import PluginPolicy


def blocked_plugins() -> tuple[str, ...]:
    """The names in AICFLOW_BLOCKED_PLUGINS, without the cost of reading every setting."""
    return tuple(part.strip() for part in os.environ.get("AICFLOW_BLOCKED_PLUGINS", "").split(",") if part.strip())


def quiet_plugins(*, types: bool = True, policy: PluginPolicy | None = None) -> Plugins:
    """Every installed plugin that the policy admits (the environment's, when not given), loaded without log lines.
    Without `types`, only the modules that hold their hooks are imported."""
    from aicflow.host.wiring import installed_plugins

    log = logging.getLogger("aicflow.plugins")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return installed_plugins(blocked_plugins(), types=types, policy=policy)
    finally:
        log.setLevel(level)
