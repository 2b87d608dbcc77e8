"""The whole job beside bare scripts: `python -m bench.whole_job`.

    inputs x copies ─► tokenmill build      books, checks, checksums, receipts, manifest
                   ├─► bare_gigatoken.py    or the script that --baseline names
                   └─► bare_tiktoken.py     neither checks anything

First a round that is not timed compares the ids of every input: a difference ends it all. Then the
contestants alternate, each in fresh processes, start-up included; memory has a round of its own,
since looking at it costs time.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.corpus import inputs_of
from bench.processes import peak_pss_bytes, wall_seconds
from bench.report import REPOSITORY, RESULTS, print_table, write_results
from bench.vocabulary import write_tiktoken

_OURS, _GIGATOKEN, _TIKTOKEN = "tokenmill", "bare gigatoken", "bare tiktoken"
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Contest:
    """What all contestants are given. inputs: a folder of nothing but input files."""

    inputs: Path
    vocabulary: Path
    workers: int
    scripts: dict[str, Path]

    def command(self, name: str, output: Path) -> list[str]:
        """How the contestant turns the inputs into files below `output`."""
        pattern = f"{self.inputs}/*"
        if name == _OURS:
            options = ["--tokenizer", self.vocabulary.stem, "--workers", str(self.workers)]
            files = ["--input", pattern, "--output", str(output)]
            return [sys.executable, "-m", "pipeline", "build", *files, *options]
        given = [pattern, str(output), str(self.vocabulary), str(self.workers)]
        return [sys.executable, str(self.scripts[name]), *given]

    @property
    def names(self) -> list[str]:
        """Ours first."""
        return [_OURS, *self.scripts]


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        inputs, source = inputs_of("english", place / "generated", options.input)
        contest = Contest(
            inputs=_copy(inputs, place / "inputs", options.copies),
            vocabulary=write_tiktoken(options.tokenizer, place),
            workers=options.workers,
            scripts=bare_scripts(options.baseline, with_tiktoken=not options.skip_tiktoken),
        )
        about = {
            "inputs": {
                "source": source,
                "files": [path.name for path in inputs],
                "copies": options.copies,
            },
            "tokenizer": options.tokenizer,
            "workers": options.workers,
        }
        _compare(contest, place, about, options)
    return 0


def _compare(
    contest: Contest, place: Path, about: dict[str, Any], options: argparse.Namespace
) -> None:
    totals = check_tokens(contest, place)
    about["inputs"] |= {key: totals[key] for key in ("inputs", "documents", "text_bytes", "tokens")}
    print(f"{totals['tokens']:,} ids of {totals['inputs']} inputs are equal in all contestants")
    contestants = measure(contest, place, totals["text_bytes"], options.rounds)
    write_results(options.results, "whole_job", {**about, "contestants": contestants})


def measure(contest: Contest, place: Path, text_bytes: int, rounds: int) -> dict[str, Any]:
    """Times the contestants in turn, then looks at their memory; prints a table.

    Returns:
        By name: wall_seconds of each round, median_seconds, megabytes_per_second of text,
        speed_of_tokenmill (their time by ours), peak_pss_bytes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contest.names}
    for number in range(rounds):
        for name in contest.names:
            if number and name == _TIKTOKEN:
                continue  # ten times slower: once is enough to see that
            with output_folder(place) as output:
                seconds[name].append(wall_seconds(contest.command(name, output)))
            print(f"round {number + 1}: {name}: {seconds[name][-1]:.2f} s", flush=True)
    peaks = {}
    for name in contest.names:
        with output_folder(place) as output:
            peaks[name] = peak_pss_bytes(contest.command(name, output))
    medians = {name: median(values) for name, values in seconds.items()}
    print_table(
        ["contestant", "seconds", "MB/s of text", "tokenmill's speed", "peak PSS, MB"],
        [
            [
                name,
                f"{medians[name]:.2f}",
                f"{text_bytes / _MEGABYTE / medians[name]:.1f}",
                f"{medians[name] / medians[_OURS]:.2f} x",
                f"{peaks[name] / _MEGABYTE:,.0f}",
            ]
            for name in contest.names
        ],
    )
    return {
        name: {
            "wall_seconds": [round(value, 3) for value in seconds[name]],
            "median_seconds": round(medians[name], 3),
            "megabytes_per_second": round(text_bytes / _MEGABYTE / medians[name], 1),
            "speed_of_tokenmill": round(medians[name] / medians[_OURS], 3),
            "peak_pss_bytes": peaks[name],
        }
        for name in contest.names
    }


def check_tokens(contest: Contest, place: Path) -> dict[str, Any]:
    """Runs every contestant once and compares the ids of each input; returns our totals.

    Raises SystemExit at the first difference.
    """
    with output_folder(place / "ours") as ours:
        wall_seconds(contest.command(_OURS, ours))
        manifest = json.loads((ours / "manifest.json").read_bytes())
        for name in contest.scripts:
            with output_folder(place) as output:
                wall_seconds(contest.command(name, output))
                for entry in manifest["inputs"]:
                    _compare_input(name, ours / "tokens", output, entry["path"])
    totals: dict[str, Any] = manifest["totals"]
    return totals


def _compare_input(name: str, ours: Path, theirs: Path, unit: str) -> None:
    expected = np.load(ours / f"{unit}.npy", mmap_mode="r")
    found = np.load(theirs / f"{unit}.npy", mmap_mode="r")
    if not np.array_equal(expected, found):
        shorter = min(len(expected), len(found))
        differs = np.flatnonzero(expected[:shorter] != found[:shorter])
        at = int(differs[0]) if len(differs) else shorter
        raise SystemExit(
            f"{name}: {unit}: {len(found)} ids, tokenmill has {len(expected)}; they differ from "
            f"number {at} on. No speed is reported for contestants that do different work"
        )


@contextmanager
def output_folder(place: Path) -> Iterator[Path]:
    """A folder that a command may make; gone afterwards, and nothing left to write back."""
    os.sync()
    output = place / "output"
    try:
        yield output
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _copy(paths: Sequence[Path], folder: Path, copies: int) -> Path:
    """The files so many times, under other names, as links."""
    folder.mkdir()
    for number in range(copies):
        for path in paths:
            (folder / f"{number:04d}-{path.name}").symlink_to(path)
    return folder


def bare_scripts(baseline: Path | None = None, *, with_tiktoken: bool) -> dict[str, Path]:
    """The scripts to compare with; baseline: in place of bare_gigatoken.py."""
    here = REPOSITORY / "bench"
    scripts = {_GIGATOKEN: baseline.resolve() if baseline else here / "bare_gigatoken.py"}
    return scripts | {_TIKTOKEN: here / "bare_tiktoken.py"} if with_tiktoken else scripts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.whole_job", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--input", metavar="GLOB", help=".jsonl.zst or .jsonl.gz; default: what is at hand")
    add("--copies", type=int, default=30, metavar="N", help="default: 30")
    add("--workers", type=int, default=2, metavar="N", help="default: 2")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3")
    add("--tokenizer", default="cl100k_base", choices=["r50k_base", "cl100k_base", "o200k_base"])
    add(
        "--baseline",
        type=Path,
        metavar="SCRIPT",
        help="a script `SCRIPT GLOB OUT VOCABULARY PROCESSES` in place of our bare_gigatoken.py; "
        "it writes OUT/<input>.npy",
    )
    add("--skip-tiktoken", action="store_true", help="leave the slowest contestant out")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
