"""The loader beside nanoGPT's loop: `python -m bench.loader`.

    inputs ─► tokenmill build ─┬─────────────────────► tokenmill, of the build
                               └─► export, nanogpt ─┬► tokenmill, of the export
                                                    └► nanoGPT: np.memmap and random crops

nanoGPT takes windows anywhere, knows no documents, no epochs and no place to resume at. tokenmill
shuffles, and says of every batch which documents it is of and where they begin (`cu_seqlens`,
`documents`). First the windows of all contestants are compared with the file; then they alternate,
each in fresh processes, the files in the page cache; seconds are those of the processor.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.corpus import inputs_of
from bench.report import REPOSITORY, RESULTS, print_table, write_results

_SHAPES = ((12, 1024), (64, 256), (8, 4096))  # samples, ids of each; the first is nanoGPT's own
_NANOGPT, _KEPT = "nanoGPT", "nanoGPT, map kept"
_BUILD, _EXPORT = "tokenmill, build", "tokenmill, export"

Pair = tuple[Any, Any]


def nanogpt(path: Path, batch_size: int, length: int, keeps_map: bool) -> Iterator[Pair]:
    """The loop of nanoGPT's train.py, its tensors left out: a map for each batch, random crops."""
    random_source = np.random.default_rng(1)
    data = np.memmap(path, np.uint16, "r")
    while True:
        if not keeps_map:
            data = np.memmap(path, np.uint16, "r")
        begins = random_source.integers(len(data) - length, size=batch_size)
        inputs = np.stack([data[i : i + length].astype(np.int64) for i in begins])
        targets = np.stack([data[i + 1 : i + 1 + length].astype(np.int64) for i in begins])
        yield inputs, targets


def tokenmill_batches(folder: Path, batch_size: int, length: int) -> Iterator[Pair]:
    """Shuffled, with documents."""
    import tokenmill

    batches = tokenmill.open(folder).batches(length, batch_size, seed=1, epochs=None)
    for batch in batches:
        assert len(batch.cu_seqlens) == len(batch.documents) + 1
        yield batch.input, batch.target


def contestants(place: Path, batch_size: int, length: int) -> dict[str, Callable[[], Any]]:
    """How each makes its batches."""
    file = place / "export/tokens/train.bin"
    return {
        _NANOGPT: lambda: nanogpt(file, batch_size, length, False),
        _KEPT: lambda: nanogpt(file, batch_size, length, True),
        _BUILD: lambda: tokenmill_batches(place / "build", batch_size, length),
        _EXPORT: lambda: tokenmill_batches(place / "export", batch_size, length),
    }


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    if options.contestant is not None:
        _run(options)
        return 0
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        inputs, source = inputs_of("english", place / "generated", options.input)
        _make(place, inputs, options.copies)
        tokens = _check(place)
        results = [_compare(place, shape, options) for shape in _SHAPES]
        if options.save:
            about = {"source": source, "copies": options.copies, "tokens": tokens}
            write_results(options.results, "loader", {"inputs": about, "results": results})
    return 0


def _make(place: Path, inputs: list[Path], copies: int) -> None:
    import tokenmill

    (place / "inputs").mkdir()
    for number in range(copies):
        for path in inputs:
            (place / "inputs" / f"{number:04d}-{path.name}").symlink_to(path)
    build = place / "build"
    tokenmill.build(place / "inputs" / "*", build, tokenizer="gpt2")
    tokenmill.export(build, place / "export", format="nanogpt", splits={})


def _check(place: Path) -> int:
    """Compares what each gives with the file that all read; how many ids it has."""
    data = np.fromfile(place / "export/tokens/train.bin", np.uint16)
    windows = np.lib.stride_tricks.sliding_window_view(data, 65)[::64]
    known = {bytes(window) for window in windows}
    for name, make in contestants(place, 16, 64).items():
        batches = make()
        for _ in range(200):
            inputs, targets = next(batches)
            assert inputs.dtype == targets.dtype == np.int64, name
            assert inputs.flags.c_contiguous, name
            assert targets.flags.c_contiguous, name
            assert (inputs[:, 1:] == targets[:, :-1]).all(), name
            if name in (_BUILD, _EXPORT):
                both = np.hstack([inputs, targets[:, -1:]]).astype(np.uint16)
                assert all(bytes(row) in known for row in both), name
    print(f"{len(data):,} ids; windows are equal to those of the file")
    return len(data)


def _compare(place: Path, shape: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    batch_size, length = shape
    names = list(contestants(place, *shape))
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            command = [sys.executable, "-m", "bench.loader", "--contestant", name]
            command += ["--place", str(place), "--shape", str(batch_size), str(length)]
            ended = subprocess.run(
                [*command, "--seconds", str(options.seconds)],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                check=True,
            )
            found[name].append(json.loads(ended.stdout))
    rates = {name: median(values) for name, values in found.items()}
    print_table(
        [f"{batch_size} x {length}", "million ids/s", "of nanoGPT", "of nanoGPT, map kept"],
        [
            [
                name,
                f"{rate / 1e6:.0f}",
                f"{rate / rates[_NANOGPT]:.2f}",
                f"{rate / rates[_KEPT]:.2f}",
            ]
            for name, rate in rates.items()
        ],
    )
    return {"batch_size": batch_size, "sequence_length": length, "ids_per_second": found}


def _run(options: argparse.Namespace) -> None:
    """One contestant: warms up for a while, then counts ids for so long."""
    batch_size, length = options.shape
    batches = contestants(Path(options.place), batch_size, length)[options.contestant]()
    _count(batches, options.seconds / 4)
    print(_count(batches, options.seconds) * batch_size * length)


def _count(batches: Iterator[Pair], seconds: float) -> float:
    """Batches a second of the processor: all of it is computing, and the machine may be shared."""
    started = time.process_time()
    count = 0
    while (taken := time.process_time() - started) < seconds:
        for _ in range(20):
            next(batches)
        count += 20
    return count / taken


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", metavar="GLOB", help=".jsonl.zst; default: what is at hand")
    parser.add_argument("--copies", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--rounds", type=int, default=5, help="of each contestant (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round (default: 2)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--save", action="store_true", help="write loader.json")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    parser.add_argument("--shape", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
