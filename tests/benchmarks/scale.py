"""When does one database no longer do, and how even are several? `python -m tests.benchmarks.scale`

Executions go to the database that a stable hash of their workflow, or of their tenant, chooses (rendezvous hashing: a
new database takes over its share and nothing else moves). The load of workflows is Zipf's: few have most of it."""

from __future__ import annotations

import argparse
import random
from hashlib import blake2b


def choose(key: str, shards: list[str]) -> str:
    """The database of a key, the same in every process and for ever."""
    return max(shards, key=lambda shard: blake2b(f"{shard}\0{key}".encode(), digest_size=8).digest())


def loads(keys: int, shards: int, *, skew: float, seed: int) -> tuple[float, float]:
    """The share of the busiest database times their number (1.0: all alike), and the share of executions that move
    when one more is added."""
    names = [f"db{number}" for number in range(shards)]
    order = list(range(keys))
    random.Random(seed).shuffle(order)
    weights = {f"wf_{key}": 1 / (rank + 1) ** skew for rank, key in enumerate(order)}
    total = sum(weights.values())
    by_shard = dict.fromkeys(names, 0.0)
    moved = 0.0
    for key, weight in weights.items():
        shard = choose(key, names)
        by_shard[shard] += weight / total
        if choose(key, [*names, f"db{shards}"]) != shard:
            moved += weight / total
    return max(by_shard.values()) * shards, moved


def needed(rate: float, one: float, hottest: float, headroom: float) -> float:
    """Databases for `rate` executions a second, where one carries `one` and the busiest has `hottest` times its
    share."""
    return rate * hottest / (one * headroom)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=float, default=400, help="executions a second that one database carries")
    parser.add_argument("--days", type=int, default=30, help="days for which executions are kept")
    parser.add_argument("--bytes", type=int, default=2_600, help="bytes that an execution takes on disk")
    given = parser.parse_args()
    print("executions/s  a day        kept         on disk    share of one database")
    for rate in (10, 100, 300, 1_000, 10_000):
        kept = rate * 86_400 * given.days
        disk = kept * given.bytes / 1e12
        print(f"{rate:>12,}  {rate * 86_400:>11,}  {kept:>13,}  {disk:>6.2f} TB  {rate / given.one:>8.0%}")
    print("\nkeys      skew  databases  busiest has  one more moves  databases for 10,000/s at 60 %")
    for keys, skew in ((100, 1.0), (10_000, 1.0), (10_000, 0.5)):
        for shards in (2, 4, 16):
            found = [loads(keys, shards, skew=skew, seed=seed) for seed in range(5)]
            hottest, moved = (sum(one[at] for one in found) / len(found) for at in (0, 1))
            wanted = needed(10_000, given.one, hottest, 0.6)
            print(f"{keys:<8,}  {skew:.1f}  {shards:>9}  {hottest:>10.2f}x  {moved:>14.0%}  {wanted:>30.0f}")


if __name__ == "__main__":
    main()
