"""Figures of this process for Prometheus, in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aicflow.engine.executions import Executions
from aicflow.engine.worker.watchdog import LoopWatchdog

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What `/metrics` shows. `loop_lag` receives how late the event loop was."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        lag = Histogram(
            "aicflow_loop_lag_seconds",
            "How late the event loop was",
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30),
            registry=self._registry,
        )
        self.loop_lag = lag.observe

    def watch(self, executions: Executions, watchdog: LoopWatchdog, trigger_failures: Mapping[str, int]) -> None:
        """Show the figures of these too."""
        self._registry.register(_Runtime(executions, watchdog, trigger_failures))

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _Runtime(Collector):
    """Read when somebody asks, so that it costs nothing otherwise."""

    def __init__(self, executions: Executions, watchdog: LoopWatchdog, trigger_failures: Mapping[str, int]) -> None:
        self._executions = executions
        self._watchdog = watchdog
        self._trigger_failures = trigger_failures

    def collect(self) -> Iterator[Metric]:
        worker = self._executions.worker
        yield GaugeMetricFamily("aicflow_running", "Executions that this process runs", value=worker.running)
        blocked = CounterMetricFamily(
            "aicflow_loop_blocked", "Times that a node blocked the event loop", labels=["node_type"]
        )
        for node_type, count in self._watchdog.blocked.items():
            blocked.add_metric([node_type or "(none)"], count)
        yield blocked
        failures = CounterMetricFamily(
            "aicflow_trigger_failures",
            "Times that a trigger fired and an error kept it from starting an execution",
            labels=["trigger_type"],
        )
        for trigger_type, count in self._trigger_failures.items():
            failures.add_metric([trigger_type], count)
        yield failures
        yield CounterMetricFamily(
            "aicflow_engine_faults", "Times that the engine failed outside a node", worker.fault_count
        )
        yield GaugeMetricFamily(
            "aicflow_executions_stuck", "Executions with which the engine fails now", value=len(worker.faults)
        )
