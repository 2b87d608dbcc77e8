"""Simulated schedules: when the last of many workers ends, by how units are given out.

units, the largest first    90  80  30  30  20  10
dealt in turn to two        90      30      20       140
                                80      30      10   120
taken by who is free        90          30      10   130
                                80  30      20       130
"""

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_SEED = 20261126


class Cluster(NamedTuple):
    """What is simulated: workers, files and bytes that a team would give to so many."""

    workers: int
    files: int
    total_bytes: float


_CLUSTERS = (Cluster(64, 500, 1e11), Cluster(64, 2_000, 1e12), Cluster(1000, 30_000, 8e12))
_LIMITS = (None, 64_000_000, 256_000_000, 1_000_000_000, 4_000_000_000)


def simulate_all(about: dict[str, float]) -> Iterator[dict[str, Any]]:
    """The makespan by the ideal of each cluster, limit and kind of workers.

    Args:
        about: what units cost, as bench/balance.py measures it.
    """
    for cluster, limit, is_even in itertools.product(_CLUSTERS, _LIMITS, (True, False)):
        draw = random.Random(_SEED)
        # A heavy tail: the largest of the files are many times the mean.
        weights = [draw.lognormvariate(0, 1.5) for _ in range(cluster.files)]
        sizes = [cluster.total_bytes * weight / sum(weights) for weight in weights]
        parts = [size for one in sizes for size in _split(one, limit)]
        rate = about["seconds_a_compressed_megabyte"] / 1e6
        added = max(0.01, about["seconds_a_part_adds"])
        spread = max(0.05, about["variation_of_the_rate"])
        costs = [added + size * rate * draw.lognormvariate(0, spread) for size in parts]
        # Every tenth worker has half the speed: a neighbour, a throttled disk.
        speeds = [1.0 if is_even or number % 10 else 0.5 for number in range(cluster.workers)]
        ideal = sum(costs) / sum(speeds)
        order = sorted(range(len(parts)), key=lambda at: -parts[at])
        in_order = [costs[at] for at in order]
        makespans = {
            "dealt": dealt(costs, speeds),
            "dealt_largest_first": dealt(in_order, speeds),
            "pulled_largest_first": pulled(in_order, speeds),
        }
        yield {
            "workers": cluster.workers,
            "terabytes": cluster.total_bytes / 1e12,
            "files": cluster.files,
            "largest_file_gigabytes": round(max(sizes) / 1e9, 1),
            "max_unit_bytes": limit,
            "units": len(parts),
            "workers_are_alike": is_even,
            "ideal_seconds": round(ideal),
            "makespan_by_ideal": {
                name: round(makespan / ideal, 3) for name, makespan in makespans.items()
            },
        }


def _split(size: float, limit: int | None) -> list[float]:
    count = 1 if limit is None else -int(-size // limit)
    return [size / count] * count


def dealt(costs: Iterable[float], speeds: Sequence[float]) -> float:
    """The makespan where units are given out in turn before any is done, as by Reshuffle."""
    busy = [0.0] * len(speeds)
    for number, cost in enumerate(costs):
        busy[number % len(speeds)] += cost
    return max(seconds / speed for seconds, speed in zip(busy, speeds, strict=True))


def pulled(costs: Iterable[float], speeds: Sequence[float]) -> float:
    """The makespan where whoever is free takes the next one."""
    free = [(0.0, worker) for worker in range(len(speeds))]
    for cost in costs:
        at, worker = heapq.heappop(free)
        heapq.heappush(free, (at + cost / speeds[worker], worker))
    return max(at for at, _ in free)
