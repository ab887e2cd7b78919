"""E1–E4: a reference, a condition, a loop and the params of a typical step against the same in plain Python; E5: what
`from aicflow_sdk import Workflow` costs against a Python that does nothing."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from aicflow_language.expr import compile_expression
from aicflow_language.template import compile_template

from tests.benchmarks.lab import Row

_SCOPE: dict[str, Any] = {
    "input": {"order_id": 7, "name": "Ann", "total": 250, "items": [{"price": 3}, {"price": 5}]},
    "vars": {"limit": 100},
    "nodes": {"fetch": {"output": {"status": 200, "body": {"id": 7, "total": 250}}}},
}
_PARAMS = {
    "url": "https://api.example.com/orders/${{ input.order_id }}",
    "headers": {"x-customer": "${{ input.name }}"},
    "body": {
        "total": "${{ nodes.fetch.output.body.total }}",
        "text": "Hello ${{ input.name }}, you owe ${{ input.total }} for ${{ input.order_id }}",
        "fixed": [1, 2, {"a": 1}],
    },
    "timeout": 10,
}
_FIXED = _PARAMS["body"]["fixed"]  # type: ignore[index]


def _plain_params(s: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": f"https://api.example.com/orders/{s['input']['order_id']}",
        "headers": {"x-customer": s["input"]["name"]},
        "body": {
            "total": s["nodes"]["fetch"]["output"]["body"]["total"],
            "text": f"Hello {s['input']['name']}, you owe {s['input']['total']} for {s['input']['order_id']}",
            "fixed": _FIXED,
        },
        "timeout": 10,
    }


_EXPRESSIONS: Sequence[tuple[str, str, str, Callable[[dict[str, Any]], Any]]] = (
    ("E1", "a reference", "nodes.fetch.output.body.total", lambda s: s["nodes"]["fetch"]["output"]["body"]["total"]),
    (
        "E2",
        "a condition",
        "nodes.fetch.output.body.total > vars.limit and input.name != ''",
        lambda s: s["nodes"]["fetch"]["output"]["body"]["total"] > s["vars"]["limit"] and s["input"]["name"] != "",
    ),
    (
        "E3",
        "a loop over two items",
        "[x.price * 2 for x in input.items if x.price > 1]",
        lambda s: [x["price"] * 2 for x in s["input"]["items"] if x["price"] > 1],
    ),
)


async def run() -> Sequence[Row]:
    """The figures, each the best of several interleaved rounds."""
    rows = []
    for name, case, source, plain in _EXPRESSIONS:
        evaluate = compile_expression(source).evaluate
        assert evaluate(_SCOPE) == plain(_SCOPE)
        rows.append(_compared(name, case, lambda run=evaluate: run(_SCOPE), lambda run=plain: run(_SCOPE)))
    resolve = compile_template(_PARAMS).resolve
    assert resolve(_SCOPE) == _plain_params(_SCOPE)
    rows.append(_compared("E4", "the params of a step", lambda: resolve(_SCOPE), lambda: _plain_params(_SCOPE)))
    ours, bare = (min(_started(program) for _ in range(5)) for program in ("from aicflow_sdk import Workflow", "pass"))
    rows.append(Row("E5", "from aicflow_sdk import Workflow", ours * 1000, "ms of CPU", "bare Python", ours / bare))
    return rows


def _compared(name: str, case: str, ours: Callable[[], object], plain: Callable[[], object]) -> Row:
    best = [float("inf"), float("inf")]
    for _ in range(7):
        for position, function in enumerate((ours, plain)):
            best[position] = min(best[position], _timed(function))
    return Row(name, case, best[0] * 1e6, "µs", "plain Python", best[0] / best[1])


def _timed(function: Callable[[], object], turns: int = 10_000) -> float:
    began = time.process_time()
    for _ in range(turns):
        function()
    return (time.process_time() - began) / turns


def _started(program: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
