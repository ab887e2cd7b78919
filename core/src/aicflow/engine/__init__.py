"""Turns workflows into work: claims executions, walks their graphs, runs their steps, and reports what happens."""

from typing import TYPE_CHECKING

from aicflow_language.lazy import lazy_names

if TYPE_CHECKING:
    from aicflow.engine.executions import Executions
    from aicflow.engine.options import EngineOptions
    from aicflow.engine.secrets import EnvironmentSecrets, Secrets
    from aicflow.engine.starting import KEEP
    from aicflow.kernel.execution import Started

__all__ = [
    "KEEP",
    "EngineOptions",
    "EnvironmentSecrets",
    "Executions",
    "Secrets",
    "Started",
]

if not TYPE_CHECKING:  # finding plugins and validating need no engine
    __getattr__ = lazy_names(
        __name__,
        executions="Executions",
        options="EngineOptions",
        secrets="EnvironmentSecrets Secrets",
        starting="KEEP Started",
    )
