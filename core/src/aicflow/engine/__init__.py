"""Turns workflows into work: claims executions, walks their graphs, runs their steps, and tells what happens."""

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
