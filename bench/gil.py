"""How much of a worker's time the GIL is held: `python -m bench.gil`.

Method: look, do not ask. A thread that asks for the GIL changes what it measures, since the worker
then has to wait for it. Here the worker is a process of its own, and its parent looks into its
memory at random moments: CPython keeps, in `_PyRuntime`,

    | switch interval, us (unsigned long) | last holder (pointer) | locked (int) |     the GIL

and `locked` is 1 while a thread holds it. The worker finds the place by a switch interval that
nobody else would set, followed by the address of its own thread state. As the moments have nothing
to do with what the worker does, the share of looks that find 1 is the share of the time.

Nothing is believed before it is calibrated: in the same process, `time.sleep` must read as below
1% and a pure Python loop as above 99%. Linux only; checked on CPython 3.10 to 3.13.
"""

import argparse
import ctypes
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from math import sqrt
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.corpus import WEB
from bench.report import RESULTS, print_table, write_results

_SWITCH_SECONDS = 0.0043217  # a number to find again; with one thread it has no effect
_SEARCHED_BYTES = 4 << 20
_MEAN_PAUSE_SECONDS = 0.0005
_CALIBRATION_SECONDS = 1.0
_KINDS = ("en-*.jsonl.zst", "multi-*.jsonl.gz", "multi-*.parquet", "en-*.warc.wet.gz")


def held_share(unit: Path, seconds: float, tokenizer: str) -> dict[str, Any]:
    """The share of its time, 0 to 1, that a worker holds the GIL while it tokenizes the unit.

    The unit is done again and again until so many seconds are over. Raises SystemExit when the
    calibration fails.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, str(unit), seconds, tokenizer))
    process.start()
    theirs.close()
    try:
        address = ours.recv()
        samples = random.Random(str(unit))
        with open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
            sleeping, spinning, working = (
                _watch(memory.fileno(), address, ours, samples) for _ in range(3)
            )
    finally:
        process.terminate()
        process.join()
    if sleeping[0] > 0.01 or spinning[0] < 0.99:
        raise SystemExit(f"the method fails here: asleep {sleeping[0]:.1%}, busy {spinning[0]:.1%}")
    share, looks = working
    return {
        "unit": unit.name,
        "held_share": round(share, 4),
        "standard_error": round(sqrt(share * (1 - share) / looks), 4),
        "looks": looks,
        "calibration": {"asleep": round(sleeping[0], 4), "busy": round(spinning[0], 4)},
    }


def _watch(
    memory: int, address: int, connection: Connection, samples: random.Random
) -> tuple[float, int]:
    """Looks until the worker says that its phase is over: the share of ones, and how many looks."""
    connection.recv()  # it begins
    looks = held = 0
    while not connection.poll(samples.expovariate(1 / _MEAN_PAUSE_SECONDS)):
        held += struct.unpack("i", os.pread(memory, 4, address))[0] != 0
        looks += 1
    connection.recv()  # it is over
    return held / max(looks, 1), looks


def _work(connection: Connection, unit: str, seconds: float, tokenizer: str) -> None:
    """The worker's main: says where its GIL is, then goes through its three phases."""
    from transforms.passes.tokenize import TokenizePass
    from transforms.passes.work_pass import WorkUnit
    from transforms.settings import TokenizeSettings
    from transforms.shards.build import Build

    work = TokenizePass(TokenizeSettings(tokenizer=tokenizer))
    source = WorkUnit(os.path.basename(unit), unit, os.path.getsize(unit))
    output = tempfile.mkdtemp(prefix="tokenmill-bench-")

    def tokenize() -> None:
        work.run(source, Build.at(output, "bench"))

    try:
        tokenize()  # imports, caches
        connection.send(_find_lock())
        _phase(connection, lambda: time.sleep(_CALIBRATION_SECONDS), 0)
        _phase(connection, lambda: sum(range(10_000)), _CALIBRATION_SECONDS)
        _phase(connection, tokenize, seconds)
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _phase(connection: Connection, step: Callable[[], Any], seconds: float) -> None:
    connection.send("begin")
    end = time.monotonic() + seconds
    step()
    while time.monotonic() < end:
        step()
    connection.send("over")


def _find_lock() -> int:
    """The address of this process's `locked`. Raises RuntimeError where it can not be told."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    interval = round(sys.getswitchinterval() * 1e6)
    this_thread = ctypes.pythonapi.PyThreadState_Get
    this_thread.restype = ctypes.c_void_p
    pattern = struct.pack("LP", interval, this_thread())
    start = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    content = _readable_from(start)
    at = content.find(pattern)
    if at < 0 or content.find(pattern, at + 1) >= 0:
        raise RuntimeError("the GIL's lock is not where CPython 3.10 to 3.13 have it")
    return start + at + len(pattern)


def _readable_from(start: int) -> bytes:
    """This process's memory from an address on, as far as it is mapped in one piece."""
    end = start
    for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
        span, permissions = line.split()[:2]
        first, last = (int(edge, 16) for edge in span.split("-"))
        if first <= end < last and permissions.startswith("r"):
            end = last
    return ctypes.string_at(start, min(end - start, _SEARCHED_BYTES))


def _units(place: Path, given: list[Path] | None) -> list[Path]:
    if given:
        return [path.resolve() for path in given]
    found = [path for kind in _KINDS for path in sorted(WEB.glob(kind))[:1]]
    if found:
        return found
    from pipeline.sample import write_sample

    return list(write_sample(place / "sample"))


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gil", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--input", nargs="+", type=Path, metavar="FILE", help="default: one of each kind at hand")
    add("--seconds", type=float, default=5.0, metavar="N", help="of work to watch; default: 5")
    add("--tokenizer", default="cl100k_base", metavar="NAME")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        units = _units(Path(folder), options.input)
        results = [held_share(unit, options.seconds, options.tokenizer) for unit in units]
    print_table(
        ["unit", "GIL held", "standard error", "looks"],
        [
            [
                result["unit"],
                f"{result['held_share']:.1%}",
                f"{result['standard_error']:.1%}",
                result["looks"],
            ]
            for result in results
        ],
    )
    write_results(options.results, "gil", {"tokenizer": options.tokenizer, "units": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
