"""Trying again: when, how often, how long in between, and what stays the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aicflow import PermanentError, TransientError
from aicflow.engine.run.failure import backoff, retryable
from aicflow.kernel.document import Retry
from hypothesis import given
from hypothesis import strategies as st

FAST = {"initial_delay": 0.001, "max_delay": 0.002}


async def test_a_transient_error_is_tried_again(lab: Any) -> None:
    execution = await lab.run(
        [{"id": "f", "type": "lab.fail", "params": {"times": 2}, "retry": {"max_attempts": 3, **FAST}}]
    )
    assert execution.output == "attempt 3"
    events = await lab.events(execution.id)
    assert [(event.type, event.attempt) for event in events if event.node_id] == [
        ("step.started", 1),
        ("step.retrying", 1),
        ("step.started", 2),
        ("step.retrying", 2),
        ("step.started", 3),
        ("step.succeeded", 3),
    ]
    assert events[3].data["error"]["hint"] == "Wait a little."


async def test_the_last_attempt_fails_the_step(lab: Any) -> None:
    execution = await lab.run([{"id": "f", "type": "lab.fail", "retry": {"max_attempts": 2, **FAST}}])
    assert execution.error.attempt == 2
    assert lab.ledger.calls["fail"] == 2


async def test_a_permanent_error_is_not_tried_again(lab: Any) -> None:
    await lab.run(
        [
            {
                "id": "f",
                "type": "lab.fail",
                "params": {"kind": "permanent"},
                "retry": {"max_attempts": 5, **FAST, "on": ["*"]},
            }
        ]
    )
    assert lab.ledger.calls["fail"] == 1


@pytest.mark.parametrize(
    ("on", "calls"), [(None, 1), (["KeyError"], 3), (["LookupError"], 3), (["*"], 3), (["ValueError"], 1)]
)
async def test_other_errors_follow_retry_on(lab: Any, on: list[str] | None, calls: int) -> None:
    retry = {"max_attempts": 3, **FAST} | ({"on": on} if on else {})
    await lab.run([{"id": "f", "type": "lab.fail", "params": {"kind": "bug"}, "retry": retry}])
    assert lab.ledger.calls["fail"] == calls


@pytest.mark.parametrize(
    ("params", "on", "calls"),
    [
        ({"kind": "permanent"}, "permanent", 3),
        ({"kind": "permanent"}, "PermanentError", 3),
        ({"kind": "bug"}, "unexpected-error", 3),
        ({"times": 0}, "output-invalid", 3),
        ({"times": 0}, "OutputInvalid", 3),
        ({"times": 0}, "timeout", 1),
        ({"times": 0}, "*", 1),
    ],
)
async def test_a_named_code_or_type_is_tried_again_also_when_permanent(
    lab: Any, params: dict[str, Any], on: str, calls: int
) -> None:
    schema = {"const": "another output"}
    entry = {"id": "f", "type": "lab.fail", "params": params, "retry": {"max_attempts": 3, **FAST, "on": [on]}}
    execution = await lab.run([{**entry, "output_schema": schema}])
    assert execution.status == "failed"
    assert lab.ledger.calls["fail"] == calls


async def test_without_retry_there_is_one_attempt(lab: Any) -> None:
    await lab.run([{"id": "f", "type": "lab.fail"}])
    assert lab.ledger.calls["fail"] == 1


async def test_the_idempotency_key_is_the_same_for_every_attempt(lab: Any) -> None:
    execution = await lab.run([{"id": "k", "type": "lab.key", "retry": FAST}])
    assert lab.ledger.effects == [f"{execution.id}:k"] * 2


async def test_a_long_backoff_parks_the_execution(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "f", "type": "lab.fail", "retry": {"initial_delay": 300, "max_delay": 300, "jitter": False}}]
    )
    execution = await lab.until(execution_id, "waiting")
    assert execution.wake_at is not None
    await lab.idle()
    assert "f is tried again at" in await lab.executions.why(execution_id)
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"


async def test_a_backoff_survives_a_restart(lab: Any) -> None:
    execution_id = await lab.start(
        [
            {
                "id": "f",
                "type": "lab.fail",
                "params": {"times": 1},
                "retry": {"initial_delay": 0.4, "max_delay": 0.4, "jitter": False},
            }
        ]
    )
    await lab.until(execution_id, "waiting")
    await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.output == "attempt 2"


@given(
    attempt=st.integers(1, 10_000),
    initial=st.floats(0, 86_400),
    multiplier=st.floats(1, 100),
    longest=st.floats(0, 86_400),
    asked=st.none() | st.floats(allow_nan=False),
)
def test_backoff_is_never_negative_nor_without_bound(
    attempt: int, initial: float, multiplier: float, longest: float, asked: float | None
) -> None:
    retry = Retry(initial_delay=initial, multiplier=multiplier, max_delay=longest)
    error = TransientError("x", retry_after=asked)
    delay = backoff(retry, attempt, error, random.Random(1))
    assert 0 <= delay <= 86_400
    if asked is not None and asked > 0:
        assert delay >= min(asked, 86_400)


def test_backoff_doubles_and_jitter_spreads() -> None:
    exact = Retry(initial_delay=1, multiplier=2, max_delay=10, jitter=False)
    delays = [backoff(exact, attempt, ValueError(), random.Random()) for attempt in range(1, 7)]
    assert delays == [1, 2, 4, 8, 10, 10]
    jittered = Retry(initial_delay=1, multiplier=2, max_delay=10)
    chance = random.Random(7)
    spread = [backoff(jittered, 3, ValueError(), chance) for _ in range(1000)]
    assert min(spread) < 0.1
    assert 3.9 < max(spread) <= 4


def test_which_errors_are_worth_another_attempt() -> None:
    assert retryable(TransientError("x"), None)
    assert not retryable(PermanentError("x"), ["*"])
    assert retryable(ConnectionResetError(), ["OSError"])
    assert not retryable(ConnectionResetError(), None)
