"""Whether workers end together: `python -m bench.balance`, and with Beam's flags on any runner.

    very unequal inputs ─► each unit alone       what it costs, whole and in parts
                        ─► a build by --workers  last receipt - first begin, by the sum of costs
                        ─► simulation            64 and 1,000 workers, units of those costs

The ideal is the sum of all costs by the number of workers; a makespan of 1.15 of it is the goal. On
a machine that does other work, too, costs change from one minute to the next: there look at the
makespan by the mean end of the last units, one a worker, which is of the build alone (and says
nothing where a worker took no part).

`--engine flink`, or spark: builds by the two workers of that engine alone (engine_balance.py), put
beside the results that are there. On other runners, with an output folder that the workers share
(--place): `python -m bench.balance --workers 2 -- --runner=FlinkRunner --flink_master=...`.
"""

import argparse
import gzip
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from bench.corpus import batches_of, inputs_of
from bench.engine_balance import ENGINES, measure_engine
from bench.report import RESULTS, keep_results, kept_results, print_table, write_results
from bench.schedules import simulate_all
from pipeline.commands.build import build
from pipeline.config import BuildConfig
from pipeline.inputs import list_units, split_units
from transforms.passes.tokenize import TokenizePass
from transforms.passes.work_pass import WorkUnit, run_unit
from transforms.reading import ReadSettings
from transforms.settings import TokenizeSettings
from transforms.shards.build import Build
from transforms.shards.layout import receipt_path

_MEMBER_BYTES = 1 << 20
_SMALL_FILES = 40
# Shares of the text: four large inputs, one of them nearly half of all, and forty small ones.
_SHARES = {"large.jsonl": 0.45, "b.jsonl.gz": 0.2, "c.parquet": 0.15, "d.jsonl.zst": 0.1}


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenmill-balance-", dir=options.place) as folder:
        place = Path(folder)
        source = write_unequal(place / "inputs", options.megabytes * 10**6, place / "generated")
        if options.engine:
            inputs = {"source": source, "megabytes": options.megabytes}
            given = place / "inputs", place, options.max_unit_bytes, options.rounds
            measured = {"inputs": inputs, **measure_engine(options.engine, *given)}
            keep_results(options.results, options.name, "engines", options.engine, measured)
            return 0
        costs, runs = {}, {}
        for name, limit in (("whole", None), ("parts", options.max_unit_bytes)):
            settings = TokenizeSettings(read=ReadSettings(max_unit_bytes=limit))
            costs[name] = unit_costs(place / "inputs", place / f"alone-{name}", settings)
            output = place / f"built-{name}"
            runs[name] = run_build(place / "inputs", output, settings, options, costs[name])
    about = _about_costs(costs)
    _print_runs(costs, runs)
    simulated = list(simulate_all(about))
    _print_simulated(simulated)
    write_results(
        options.results,
        options.name,
        {
            "inputs": {"source": source, "megabytes": options.megabytes},
            "max_unit_bytes": options.max_unit_bytes,
            "workers": options.workers,
            "beam_flags": [flag for flag in options.beam_flags if "runner" in flag],
            "costs": about,
            "builds": runs,
            "simulated": simulated,
            "engines": kept_results(options.results, options.name).get("engines", {}),
        },
    )
    return 0


# -- inputs ----------------------------------------------------------------------------------------


def write_unequal(folder: Path, text_bytes: int, generated: Path) -> str:
    """Writes the inputs; returns where their text is from."""
    folder.mkdir()
    paths, source = inputs_of("english", generated)
    texts = [text for batch in batches_of(paths, text_bytes) for text in batch.to_pylist()]
    documents = itertools.cycle(texts)
    for name, share in _SHARES.items():
        _write(folder / name, documents, share * text_bytes)
    small = (1 - sum(_SHARES.values())) / _SMALL_FILES
    for number in range(_SMALL_FILES):
        _write(folder / f"e-{number:02d}.jsonl.zst", documents, small * text_bytes)
    return source


def _write(path: Path, documents: Iterator[str], size: float) -> None:
    some: list[str] = []
    while size > 0:
        some.append(next(documents))
        size -= len(some[-1].encode())
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": some}), path, row_group_size=500)
        return
    packs: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda content: gzip.compress(content, mtime=0),
        ".zst": zstandard.compress,
    }
    pack = packs.get(path.suffix, bytes)
    with path.open("wb") as file:
        pending = bytearray()
        for text in some:
            pending += json.dumps({"text": text}).encode() + b"\n"
            if len(pending) >= _MEMBER_BYTES:
                file.write(pack(bytes(pending)))
                pending.clear()
        if pending:
            file.write(pack(bytes(pending)))


# -- measured --------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Of one unit, done alone in a process that has everything loaded."""

    raw_bytes: int
    cpu_seconds: float
    wall_seconds: float


def unit_costs(inputs: Path, output: Path, settings: TokenizeSettings) -> dict[str, Cost]:
    """What each unit takes, by name."""
    units = _units(inputs, settings)
    work = TokenizePass(settings)
    work.prepare()
    run_unit(work, units[-1], Build.at(f"{output}-warm", "warm"))
    costs = {}
    for unit in units:
        wall, cpu = time.perf_counter(), time.process_time()
        run_unit(work, unit, Build.at(str(output), "alone"))
        seconds = time.process_time() - cpu, time.perf_counter() - wall
        costs[unit.name] = Cost(unit.size_bytes, *seconds)
    return costs


def _units(inputs: Path, settings: TokenizeSettings) -> Sequence[WorkUnit]:
    files = list_units([f"{inputs}/*"], str(inputs), f"{inputs}-none", settings.read)
    return split_units(files, settings.read)


def run_build(
    inputs: Path,
    output: Path,
    settings: TokenizeSettings,
    options: argparse.Namespace,
    costs: dict[str, Cost],
) -> dict[str, Any]:
    """Runs a build; its makespan is from the first begin to the last receipt."""
    config = BuildConfig(
        inputs=(f"{inputs}/*",),
        output=str(output),
        settings=settings,
        workers=None if options.beam_flags else options.workers,
        beam_flags=tuple(options.beam_flags),
    )
    started = time.perf_counter()
    build(config)
    wall = time.perf_counter() - started
    ends = {name: (output / receipt_path(name)).stat().st_mtime for name in costs}
    begin = min(end - costs[name].wall_seconds for name, end in ends.items())
    makespan = max(ends.values()) - begin
    ideal = sum(cost.wall_seconds for cost in costs.values()) / options.workers
    last = sorted(ends.values())[-options.workers :]
    return {
        "units": len(costs),
        "wall_seconds": round(wall, 2),
        "makespan_seconds": round(makespan, 2),
        "ideal_seconds": round(ideal, 2),
        "makespan_by_ideal": round(makespan / ideal, 3),
        "makespan_by_mean_end": round(makespan / (mean(last) - begin), 3),
    }


def _about_costs(costs: dict[str, dict[str, Cost]]) -> dict[str, float]:
    """What the simulation needs: seconds a byte, how much they vary, and what a unit adds."""
    totals = {name: sum(cost.cpu_seconds for cost in of.values()) for name, of in costs.items()}
    more = len(costs["parts"]) - len(costs["whole"])
    rates = [
        cost.cpu_seconds / cost.raw_bytes
        for name, cost in costs["parts"].items()
        if name.startswith("large.jsonl")
    ]
    smallest = min(cost.wall_seconds for cost in costs["parts"].values())
    compressed = [cost for name, cost in costs["whole"].items() if name == "d.jsonl.zst"]
    return {
        "seconds_a_compressed_megabyte": compressed[0].cpu_seconds / compressed[0].raw_bytes * 1e6,
        "variation_of_the_rate": stdev(rates) / mean(rates) if len(rates) > 1 else 0.1,
        "seconds_a_part_adds": max(0.0, (totals["parts"] - totals["whole"]) / max(1, more)),
        "seconds_of_the_smallest_unit": smallest,
    }


# -- shown -----------------------------------------------------------------------------------------


def _print_runs(costs: dict[str, dict[str, Cost]], runs: dict[str, dict[str, Any]]) -> None:
    print_table(
        ["build", "units", "cpu s", "wall s", "makespan s", "ideal s", "by ideal", "by mean end"],
        [
            [
                name,
                run["units"],
                f"{sum(cost.cpu_seconds for cost in costs[name].values()):.1f}",
                run["wall_seconds"],
                run["makespan_seconds"],
                run["ideal_seconds"],
                run["makespan_by_ideal"],
                run["makespan_by_mean_end"],
            ]
            for name, run in runs.items()
        ],
    )


def _print_simulated(simulated: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["workers", "TB", "alike", "max unit MB", "units", "dealt", "largest first", "and pulled"],
        [
            [
                one["workers"],
                one["terabytes"],
                one["workers_are_alike"],
                one["max_unit_bytes"] and one["max_unit_bytes"] // 10**6,
                one["units"],
                *one["makespan_by_ideal"].values(),
            ]
            for one in simulated
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.balance", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--megabytes", type=int, default=200, metavar="N", help="of text (default: 200)")
    add("--max-unit-bytes", type=int, default=4_000_000, metavar="N", help="default: 4000000")
    add("--workers", type=int, default=2, metavar="N", help="what the runner has (default: 2)")
    add("--place", metavar="DIR", help="where to work (default: the temporary folder)")
    add("--engine", choices=ENGINES, help="measure its two workers, and nothing else")
    add("--rounds", type=int, default=3, metavar="N", help="builds of --engine (default: 3)")
    add("--name", default="balance", help="of the file of results (default: balance)")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    add("beam_flags", nargs="*", help="after a bare --, for another runner")
    return parser


if __name__ == "__main__":
    sys.exit(main())
