"""Whether the workers of a real engine end together: `python -m bench.balance --engine flink`.

    worker 1   |== large-0 ==|= c-3 =|= e-1 =|         each unit is timed where it is done, from
    worker 2     |== large-1 ==|=== b-0 ===|=|         the look for its receipt to its receipt
               └─ makespan ────────────────────┘
    ideal    = (large-0 + large-1 + c-3 + b-0 + ...) / 2
    started  = the same of workers of which one began later: (all units + that time) / 2
    outside  = the command's time without the makespan: JVMs, imports, the end of the job

Costs are of the same run, and so is what else the machine does: both sides of the ratio have it.
The two workers of `make test-flink` and `make test-spark` do the job, a unit each at a time, which
is checked; and so are their shards, against those of a build on this machine.
"""

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

from bench.report import REPOSITORY, machine, print_table

_WORKERS = 2
ENGINES = ("flink", "spark")


def measure_engine(
    name: str, inputs: Path, place: Path, max_unit_bytes: int, rounds: int
) -> dict[str, Any]:
    """Builds with inputs whole and in parts, so many times each; what came of it, for the results.

    Args:
        name: flink or spark, which `make test-<name>` has installed. inputs: a folder.
        place: an empty folder. max_unit_bytes: of parts. rounds: builds of each kind.
    """
    home = REPOSITORY / "build" / "clusters" / name
    if not (home / "installed").exists():
        sys.exit(f"{name} is not installed: make test-{name} does it")
    sys.path[:0] = [str(REPOSITORY / "tests" / "clusters"), str(REPOSITORY / "tests")]
    import commands
    from engines import running_engine

    kinds = {
        "whole": ["--max-unit-bytes", "none"],
        "parts": ["--max-unit-bytes", str(max_unit_bytes)],
    }
    builds: dict[str, list[dict[str, Any]]] = {}
    with running_engine(name, home, place / "engine") as engine:
        for kind, options in kinds.items():
            given = ["build", "--input", f"{inputs}/*", *options, "--output"]
            _check(commands.run(None, *given, place / f"home-{kind}", cwd=place))
            for number in range(rounds):
                output, noted = place / f"{kind}-{number}", place / f"noted-{kind}-{number}"
                noted.mkdir()
                started = time.monotonic()
                _check(commands.run(engine, *given, output, cwd=place, faults=noted))
                wall = time.monotonic() - started
                if _hashes(output) != _hashes(place / f"home-{kind}"):
                    sys.exit(f"{name} has written other tokens than this machine: {output}")
                builds.setdefault(kind, []).append(
                    {**_about(noted), "wall_seconds": round(wall, 2)}
                )
                engine.wait_until_idle()
    _print(builds)
    return {"machine": machine(), "max_unit_bytes": max_unit_bytes, "builds": builds}


def _about(noted: Path) -> dict[str, Any]:
    """What the times of the units say."""
    from worker_faults import unit_times

    times = unit_times(noted)
    changes = sorted([(one.begin, 1) for one in times] + [(one.end, -1) for one in times])
    at_once = most = 0
    for _, change in changes:
        at_once += change
        most = max(most, at_once)
    processes = {one.process for one in times}
    if (most, len(processes)) != (_WORKERS, _WORKERS):
        sys.exit(f"{len(processes)} workers did up to {most} units at once, not {_WORKERS}")
    begins, ends = (
        sorted(
            choose(getattr(one, side) for one in times if one.process == process)
            for process in processes
        )
        for choose, side in ((min, "begin"), (max, "end"))
    )
    makespan = ends[-1] - begins[0]
    seconds = {
        process: sum(one.end - one.begin for one in times if one.process == process)
        for process in processes
    }
    ideal = sum(seconds.values()) / _WORKERS
    # One worker may begin while the engine still starts the other.
    started = ideal + sum(begin - begins[0] for begin in begins) / _WORKERS
    return {
        "units": len(times),
        "seconds_at_units_of_each_worker": sorted(round(one, 2) for one in seconds.values()),
        "makespan_seconds": round(makespan, 2),
        "ideal_seconds": round(ideal, 2),
        "seconds_between_begins": round(begins[-1] - begins[0], 2),
        "seconds_between_ends": round(ends[-1] - ends[0], 2),
        "makespan_by_ideal": round(makespan / ideal, 3),
        "makespan_by_ideal_of_started": round(makespan / started, 3),
    }


def _check(ended: Any) -> None:
    if ended.returncode:
        sys.exit(f"the build failed:\n{ended.stderr}")


def _hashes(output: Path) -> dict[str, str]:
    """Of the shards, by name."""
    folder = output / "tokens"
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.npy"))
    }


def _print(builds: dict[str, list[dict[str, Any]]]) -> None:
    print_table(
        ["build", "units", "wall s", "outside s", "makespan s", "ideal s", "by ideal", "started"],
        [
            [
                kind,
                one["units"],
                one["wall_seconds"],
                round(one["wall_seconds"] - one["makespan_seconds"], 2),
                one["makespan_seconds"],
                one["ideal_seconds"],
                one["makespan_by_ideal"],
                one["makespan_by_ideal_of_started"],
            ]
            for kind, rounds in builds.items()
            for one in rounds
        ],
    )
