"""How the engine runs: limits and times, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Times are in seconds, sizes in bytes.

    `engine`: name of the engine for workflows that name none. `max_running`: executions this worker works on at
    once; more are queued. `lease`: how long a claim holds without renewal. `grace`: how long a clean shutdown waits
    for steps under way. `cancel_grace`: how long a cancelled node may take to stop before it is abandoned.
    `park_after`: an execution whose steps all wait longer than this is parked and holds no slot. `flush_after`: the
    longest that an event stays uncommitted while its execution goes on. `inline_output`: larger outputs are kept
    once, outside the events. `max_output`: the largest output of a step, an item or an execution. `max_state`: the
    largest value of a workflow's state. `threads`: workers for blocking nodes. `teardown`: how long nodes that always
    run may take, all together, once an execution was stopped. `max_depth`: how deep workflows may call workflows.
    `max_claims`: an execution that was claimed so often without progress, because its workers died, fails. `poll`: how
    often a store that other hosts share is looked at when no signal comes. `max_faults`: an execution with which the
    engine itself failed so often in a row fails. `queues`: those that the worker takes executions from, None for all.
    `worker_name`: what it is called in lists, its host's name when empty. `beat`: how often it tells that it is alive.
    `missing_grace`: an execution fails once no live worker has had its node types for so long.
    """

    engine: str = "auto"
    max_running: int = 2000
    lease: float = 30.0
    grace: float = 10.0
    cancel_grace: float = 1.0
    park_after: float = 1.0
    flush_after: float = 0.02
    inline_output: int = 32_768
    max_output: int = 64 * 1024 * 1024
    max_state: int = 256 * 1024
    log_limit: int = 16_384
    threads: int = 32
    teardown: float = 60.0
    max_depth: int = 100
    max_claims: int = 20
    poll: float = 1.0
    max_faults: int = 5
    queues: tuple[str, ...] | None = None
    worker_name: str = ""
    beat: float = 5.0
    missing_grace: float = 300.0
