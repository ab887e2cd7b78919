"""What an author writes and what comes back: values, logs, errors at their line."""

# ruff: noqa: ASYNC110 - these tests watch real processes, through /proc

from __future__ import annotations

from typing import Any

import pytest
from aicflow_python.sandbox import InputRefused, LimitExceeded, LogLine, UserCodeError


def repr_of(value: Any) -> str:
    """A name for a case whose value cannot be shown."""
    return type(value).__name__


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_body_reads_inputs_and_returns_json(run: Any) -> None:
    outcome = await run("total = sum(inputs['rows'])\nreturn {'total': total}", {"rows": [1, 2, 3]})
    assert outcome.unwrap() == {"total": 6}


async def test_print_and_log_come_back_in_order(run: Any) -> None:
    code = "print('one', 'two')\nlog('three', level='warning', n=3)\nprint('no newline', end='')\nlog.error('four')"
    outcome = await run(code)
    assert outcome.logs == (
        LogLine("info", "one two"),
        LogLine("warning", "three", {"n": 3}),
        LogLine("error", "four"),
        LogLine("info", "no newline"),
    )


async def test_log_lines_arrive_while_the_code_runs(sandbox: Any) -> None:
    import asyncio

    from aicflow_python.sandbox import Call

    seen: list[str] = []
    code = "import time\nfor n in range(3):\n    time.sleep(0.12)\n    print(n)\ntime.sleep(60)"
    task = asyncio.create_task(
        sandbox.call(Call(code), "live", lambda lines: seen.extend(line.message for line in lines))
    )
    async with asyncio.timeout(10):
        while len(seen) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_printed_before_a_limit_is_kept(run: Any) -> None:
    outcome = await run("print('before')\nwhile True:\n    pass", cpu_seconds=0.1)
    assert isinstance(outcome.failure, LimitExceeded)
    assert [line.message for line in outcome.logs] == ["before"]


async def test_an_error_names_type_message_line_and_excerpt(run: Any) -> None:
    code = "rows = inputs['rows']\n\ndef first(rows):\n    return rows[0]\n\nreturn first(rows)"
    failure = (await run(code, {"rows": []})).failure
    assert isinstance(failure, UserCodeError)
    assert (failure.type, failure.message, failure.line) == ("IndexError", "list index out of range", 4)
    assert failure.frames == ((6, "<node>"), (4, "first"))
    assert (
        failure.excerpt == "  2 | \n  3 | def first(rows):\n> 4 |     return rows[0]\n  5 | \n  6 | return first(rows)"
    )


async def test_frames_of_the_host_and_of_libraries_are_not_shown(run: Any) -> None:
    failure = (await run("import json\njson.loads('{')")).failure
    assert isinstance(failure, UserCodeError)
    assert failure.type == "JSONDecodeError"
    assert failure.frames == ((2, "<node>"),)
    assert "/" not in str(failure)


async def test_a_cause_is_told(run: Any) -> None:
    code = "try:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('no a') from error"
    failure = (await run(code)).failure
    assert isinstance(failure, UserCodeError)
    assert failure.cause == "KeyError: 'a'"


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("x = 1\ny = (", 2, "'(' was never closed"),
        ("for x in y\n    pass", 1, "expected ':'"),
        ("x = 1\nyield x", 2, "'yield' has no reader here"),
        ("from math import *", 1, "import * only allowed at module level"),
        ("return 'a\x00b'", None, "null bytes"),
    ],
)
async def test_syntax_errors_say_where(run: Any, code: str, line: int | None, said: str) -> None:
    failure = (await run(code)).failure
    assert isinstance(failure, UserCodeError)
    assert said in failure.message
    assert failure.line == line


async def test_forbidden_imports_suggest_the_nearest(run: Any) -> None:
    failure = (await run("import statistic")).failure
    assert isinstance(failure, UserCodeError)
    assert failure.message == ("The module 'statistic' is not allowed in this sandbox. Did you mean 'statistics'?")


async def test_open_says_why_there_is_none(run: Any) -> None:
    failure = (await run("open('data.csv')")).failure
    assert isinstance(failure, UserCodeError)
    assert failure.message.startswith("open() is not available: there is no file system in the sandbox")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return {'a': [1, {'b': {2}}]}", 'result["a"][1]["b"] is of type set'),
        ("import datetime\nreturn [datetime.date.max]", "result[0] is of type date, which is not a JSON value; use ."),
        ("return {'x': float('inf')}", 'result["x"] is inf'),
        ("x = {}\nx['me'] = x\nreturn x", 'result["me"] contains itself'),
    ],
)  # fmt: skip
async def test_a_result_that_is_no_json_says_where(run: Any, code: str, said: str) -> None:
    failure = (await run(code)).failure
    assert isinstance(failure, UserCodeError)
    assert failure.type == "NotJSON"
    assert said in failure.message


@pytest.mark.parametrize("value", [float("nan"), [float("-inf")], [10**5000], ["\ud800"], object()], ids=repr_of)
async def test_inputs_that_are_no_json_are_refused(run: Any, value: Any) -> None:
    assert isinstance((await run("return 1", {"value": value})).failure, InputRefused)


async def test_waiting_for_nothing_is_an_error_not_a_hang(run: Any) -> None:
    failure = (await run("import asyncio\nawait asyncio.Event().wait()")).failure
    assert isinstance(failure, UserCodeError)
    assert "can never happen" in failure.message


async def test_large_inputs_and_results_pass_whole(run: Any) -> None:
    rows = [{"id": n, "name": f"row {n}", "tags": ["a", "b"]} for n in range(5000)]
    outcome = await run("return inputs['rows']", {"rows": rows})
    assert outcome.unwrap() == rows
