"""The figures of docs/explanation/scale.md, and the benchmark of PostgreSQL, small."""

from __future__ import annotations

import pytest
from aicflow.testing.postgres import MISSING, binaries

from tests.benchmarks import postgres
from tests.benchmarks.scale import choose, loads, needed

_DATABASES = [f"db{number}" for number in range(8)]
_KEYS = [f"wf_{number}" for number in range(2_000)]


def test_a_key_has_its_database_for_ever() -> None:
    # another value here moves every installation's workflows to another database
    assert [choose(key, _DATABASES) for key in ("wf_1", "wf_2", "tenant-a")] == ["db7", "db5", "db1"]
    assert all(choose(key, _DATABASES) == choose(key, _DATABASES[::-1]) for key in _KEYS)


def test_one_more_database_takes_its_share_and_nothing_else_moves() -> None:
    before = {key: choose(key, _DATABASES) for key in _KEYS}
    after = {key: choose(key, [*_DATABASES, "db8"]) for key in _KEYS}
    moved = [key for key in _KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"db8"}
    assert 0.5 / 9 < len(moved) / len(_KEYS) < 2 / 9


def test_few_keys_are_uneven_and_more_databases_do_not_help() -> None:
    even, _ = loads(10_000, 4, skew=0.0, seed=1)
    few, _ = loads(100, 4, skew=1.0, seed=1)
    many, _ = loads(100, 16, skew=1.0, seed=1)
    assert 1.0 <= even < 1.1 < few < many
    assert needed(10_000, 400, many, 0.6) > needed(10_000, 400, few, 0.6)


@pytest.mark.skipif(binaries() is None, reason=MISSING)
async def test_the_benchmark_of_postgresql_runs() -> None:
    rows = await postgres.run(100)
    assert len(rows) == 10
    assert all(row.value > 0 for row in rows)
