"""Every limit is its own error: its name, its value, the line where it struck."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow_python.sandbox import LimitExceeded, Limits

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRUCK = [
    ("timeout", 0.1, "import time\ntime.sleep(9)", 2),
    ("cpu_seconds", 0.1, "n = 0\nwhile n >= 0: n += 1", 2),
    ("memory_mb", 16, "x = 1\ny = bytearray(64 << 20)", 2),
    ("stdout_bytes", 100, "print('fits')\nprint('x' * 100)", 2),
    ("result_bytes", 100, "return 'x' * 100", None),
]


@pytest.mark.parametrize(("name", "ceiling", "code", "line"), STRUCK)
async def test_a_lower_request_is_kept(run: Any, name: str, ceiling: float, code: str, line: int | None) -> None:
    failure = (await run(code, **{name: ceiling})).failure
    assert isinstance(failure, LimitExceeded)
    assert (failure.limit, failure.ceiling, failure.line) == (name, ceiling, line)
    assert f"reached its limit {name}" in failure.message
    assert f"{ceiling:g}" in failure.message


async def test_input_is_measured_before_anything_is_sent(run: Any) -> None:
    failure = (await run("return 1", {"text": "x" * 200}, input_bytes=100)).failure
    assert isinstance(failure, LimitExceeded)
    assert (failure.limit, failure.actual) == ("input_bytes", 211)


async def test_nothing_exceeds_the_operators_ceiling(run: Any, sandbox: Any) -> None:
    failure = (await run("bytearray(300 << 20)", memory_mb=4096)).failure
    assert isinstance(failure, LimitExceeded)
    assert (failure.limit, failure.ceiling) == ("memory_mb", sandbox.ceiling.memory_mb)


async def test_a_low_memory_request_does_not_stay_for_the_next_call(run: Any) -> None:
    assert (await run("return 1", memory_mb=16)).value == 1
    assert (await run("return len(bytearray(64 << 20))")).value == 64 << 20


async def test_inputs_count_against_memory(run: Any) -> None:
    """A tight limit of an earlier call stands until the next one is read; that is still told as what it is."""
    many: dict[str, Any] = {"rows": [{} for _ in range(900_000)]}
    assert (await run("return 1", memory_mb=16)).value == 1
    failure = (await run("return 1", many, memory_mb=16)).failure
    assert isinstance(failure, LimitExceeded)
    assert failure.limit == "memory_mb"


async def test_cpu_of_earlier_calls_is_not_counted(run: Any) -> None:
    code = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    for _ in range(4):
        outcome = await run(code, cpu_seconds=0.3)
        assert outcome.failure is None


async def test_the_clocks_stop_with_the_call(run: Any) -> None:
    import asyncio

    assert (await run("return 1", timeout=0.1)).value == 1
    await asyncio.sleep(0.25)
    assert (await run("return 2", timeout=5)).value == 2


async def test_limits_are_numbers_above_zero() -> None:
    for bad in (0, -1, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ValueError, match="timeout must be a number above 0"):
            Limits(timeout=bad)  # type: ignore[arg-type]
