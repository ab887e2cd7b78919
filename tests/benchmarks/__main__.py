"""Run every benchmark and print the table; `--json FILE` writes the figures, `--only WORD` picks some."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path

from tests.benchmarks import (
    agents,
    api,
    chain,
    console,
    expressions,
    http,
    lists,
    maps,
    plans,
    postgres,
    python_node,
    recovery,
    start,
    steady,
    streams,
    validation,
    waiting,
    waits,
    weight,
)
from tests.benchmarks.lab import Row, machine

_BENCHMARKS: dict[str, Callable[[], Awaitable[Sequence[Row]]]] = {
    "chain": chain.run,
    "waits": waits.thousand_at_once,
    "overhead": waits.overhead,
    "validation": validation.run,
    "plans": plans.run,
    "expressions": expressions.run,
    "api": api.run,
    "webhooks": api.webhooks,
    "streams": streams.run,
    "http": http.run,
    "agents": agents.run,
    "recovery": recovery.run,
    "waiting": waiting.run,
    "weight": weight.run,
    "start": start.run,
    "lists": lists.run,
    "maps": maps.run,
    "steady": steady.run,
    "console": console.run,
    "python-node": python_node.run,
    "postgres": postgres.run,
}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| benchmark | case | figure | ratio |", "|---|---|---:|---:|"]
    for row in rows:
        ratio = f"{row.ratio:.3g} × {row.baseline}" if row.ratio is not None else ""
        lines.append(f"| {row.benchmark} | {row.case} | {_number(row.value)} {row.unit} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted(_BENCHMARKS), action="append")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name, benchmark in _BENCHMARKS.items():
        if arguments.only is None or name in arguments.only:
            rows.extend(asyncio.run(benchmark()))  # type: ignore[arg-type]
    print(f"{date.today().isoformat()}, {machine()}\n")
    print(table(rows))
    if arguments.json is not None:
        figures = {"date": date.today().isoformat(), "machine": machine(), "rows": [row.to_dict() for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
