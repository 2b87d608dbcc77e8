"""A global shuffle beside a bare copy of the shards: `python -m bench.shuffle`.

    inputs x copies ─► tokenmill build ─┬─► export, shuffled     scatter, gather, sums, receipts
                                        ├─► export               the same without a shuffle
                                        └─► copy                 the token shards, read and written

Each in fresh processes, alternating, files in the page cache. Bytes moved are those that read and
write calls have asked for, of all processes of a contestant (bench/moved_bytes.py).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.corpus import inputs_of
from bench.report import REPOSITORY, RESULTS, print_table, write_results

_COPY = """
import shutil, sys
shutil.copytree(sys.argv[1] + "/tokens", sys.argv[2])
"""
_SHUFFLE, _PLAIN, _BARE = "export, shuffled", "export", "copy"


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        inputs, source = inputs_of("english", place / "generated", options.input)
        build = place / "build"
        _make(build, inputs, options.copies)
        size = sum(path.stat().st_size for path in (build / "tokens").rglob("*.npy"))
        found: dict[str, list[tuple[float, int]]] = {}
        for number in range(options.rounds):
            for name, command in _commands(build, options.workers).items():
                output = place / f"{number} {name}"
                found.setdefault(name, []).append(_measured([*command, str(output)]))
                subprocess.run(["rm", "-rf", str(output)], check=True)
        _report(found, size)
        if options.save:
            about = {"source": source, "copies": options.copies, "bytes": size}
            rounds = {
                name: [{"seconds": round(s, 3), "bytes_moved": moved} for s, moved in values]
                for name, values in found.items()
            }
            content = {"shards": about, "workers": options.workers, "contestants": rounds}
            write_results(options.results, "shuffle", content)
    return 0


def _make(build: Path, inputs: list[Path], copies: int) -> None:
    import tokenmill

    folder = build.with_name("inputs")
    folder.mkdir()
    for number in range(copies):
        for path in inputs:
            (folder / f"{number:04d}-{path.name}").symlink_to(path)
    tokenmill.build(folder / "*", build, tokenizer="gpt2")


def _commands(build: Path, workers: int) -> dict[str, list[str]]:
    """Each contestant's, without its output."""
    export = [sys.executable, "-m", "pipeline", "export", str(build), "--format", "bin"]
    export += ["--workers", str(workers), "--shard-tokens", "20M"]
    return {
        _SHUFFLE: [*export, "--shuffle", "1", "--shuffle-tokens", "8M", "--output"],
        _PLAIN: [*export, "--output"],
        _BARE: [sys.executable, "-c", _COPY, str(build)],
    }


def _measured(command: list[str]) -> tuple[float, int]:
    """Seconds, and bytes that all its processes have read and written."""
    counted = [sys.executable, "-m", "bench.moved_bytes", *command]
    started = time.perf_counter()
    ended = subprocess.run(counted, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise SystemExit(f"{command} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return seconds, int(ended.stdout)


def _report(found: dict[str, list[tuple[float, int]]], size: int) -> None:
    seconds = {name: median(s for s, _ in values) for name, values in found.items()}
    moved = {name: median(m for _, m in values) for name, values in found.items()}
    print(f"{size / 1e6:,.0f} MB of ids")
    print_table(
        ["contestant", "seconds", "MB/s of ids", "MB moved", "of its ids", "of a copy"],
        [
            [
                name,
                f"{seconds[name]:.2f}",
                f"{size / 1e6 / seconds[name]:,.0f}",
                f"{moved[name] / 1e6:,.0f}",
                f"{moved[name] / size:.2f} x",
                f"{moved[name] / moved[_BARE]:.2f} x",
            ]
            for name in found
        ],
    )


def _parser() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.shuffle", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--input", metavar="GLOB", help=".jsonl.zst or .jsonl.gz; default: what is at hand")
    add("--copies", type=int, default=10, metavar="N", help="default: 10")
    add("--workers", type=int, default=2, metavar="N", help="default: 2")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3")
    add("--save", action="store_true", help="write shuffle.json")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
