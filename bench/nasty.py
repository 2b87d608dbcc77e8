"""Long and nasty documents, by the byte, beside ordinary text: `python -m bench.nasty`.

Each contestant encodes each document once, in a fresh process on one core; loading and a warm-up
with a short English text are not timed. Times are of the processor, so a busy machine matters
little. A process that needs more than --limit seconds, loading included, or crashes, is said to.
"Ordinary" is 4 MB of English as one document.

Ids are compared with tiktoken's wherever it arrives.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.corpus import batches_of, inputs_of
from bench.encoders import ENCODERS
from bench.report import REPOSITORY, RESULTS, print_table, write_results
from bench.vocabulary import write_tiktoken

_OURS = "tokenmill"
_CONTESTANTS = (_OURS, "gigatoken", "tiktoken")
_ORDINARY = "ordinary"
_BASE64 = string.ascii_letters + string.digits + "+/"
_TOO_SLOW = 5  # times ordinary text


def _repeated(text: str, characters: int) -> str:
    return (text * (characters // len(text) + 1))[:characters]


def _chosen(characters: str, count: int) -> str:
    return "".join(random.Random(20261122).choices(characters, k=count))


def _han(count: int) -> str:
    return "".join(map(chr, random.Random(7).choices(range(0x4E00, 0x9FA6), k=count)))


def _ordinary_text(megabytes: int) -> str:
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        inputs, _ = inputs_of("english", Path(folder))
        batches = batches_of(inputs, megabytes * 1_000_000)
    return "\n\n".join(text for batch in batches for text in batch.to_pylist())


DOCUMENTS: dict[str, Callable[[], str]] = {
    _ORDINARY: lambda: _ordinary_text(4),
    "one letter, 1 MB": lambda: "a" * 1_000_000,
    "ababab, 1 MB": lambda: "ab" * 500_000,
    "random letters, 1 MB": lambda: _chosen("abcdefghijklmnopqrstuvwxyz", 1_000_000),
    "spaces, 200 KB": lambda: " " * 200_000,
    "newlines and spaces, 1 MB": lambda: _chosen(" \n", 1_000_000),
    "digits, 1 MB": lambda: _chosen("0123456789", 1_000_000),
    "punctuation, 1 MB": lambda: _chosen("!#$%&*+-./:;<=>?@^_|~", 1_000_000),
    "apostrophes, 1 MB": lambda: "'" * 1_000_000,
    "emoji, 300 KB": lambda: _chosen("😀😃👩🏽🎉🇩", 75_000),
    "one emoji, 300 KB": lambda: "😀" * 75_000,
    "CJK, 300 KB": lambda: _han(100_000),
    "one CJK character, 300 KB": lambda: "中" * 100_000,
    "Thai, 300 KB": lambda: _repeated("ภาษาไทยเป็นภาษาที่ไม่มีการเว้นวรรคระหว่างคำ", 100_000),
    "combining marks, 300 KB": lambda: "e" + "\u0301" * 150_000,
    "bytes as latin-1, 1 MB": lambda: random.Random(3).randbytes(1_000_000).decode("latin-1"),
    "base64, 1 MB": lambda: _chosen(_BASE64, 1_000_000),
    "one line, 64 MB": lambda: _repeated(_ordinary_text(8).replace("\n", " "), 64_000_000),
    "one word, 64 MB": lambda: _chosen("etaoinshrdlu", 64_000_000),
}


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    if options.contestant:  # a fresh process of ours
        resource.setrlimit(resource.RLIMIT_CPU, (options.limit, options.limit + 5))
        print(json.dumps(_run(options.contestant, options.path, options.text)))
        return 0
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        texts = {}
        for number, name in enumerate([_ORDINARY, *options.documents]):
            texts[name] = place / f"{number}.txt"
            texts[name].write_text(DOCUMENTS[name](), encoding="utf-8", newline="")
        results = []
        for vocabulary in options.vocabularies:
            path = write_tiktoken(vocabulary, place)
            results += [
                {"vocabulary": vocabulary, "document": name, **_contest(path, text, options)}
                for name, text in texts.items()
            ]
    print_table(*_table(results))
    write_results(options.results, "nasty", {"measurements": results})
    return int(any(result["differs"] for result in results))


def _contest(vocabulary: Path, text: Path, options: argparse.Namespace) -> dict[str, Any]:
    reports = {name: _fresh(name, vocabulary, text, options.limit) for name in _CONTESTANTS}
    prints = {name: report["ids"] for name, report in reports.items() if "ids" in report}
    reference = prints.get("tiktoken", prints.get(_OURS))
    return {
        "bytes": text.stat().st_size,
        "compared": sorted(prints),
        "differs": sorted(name for name, ids in prints.items() if ids != reference),
        "contestants": {
            name: {key: value for key, value in report.items() if key != "ids"}
            for name, report in reports.items()
        },
    }


def _fresh(name: str, vocabulary: Path, text: Path, limit: int) -> dict[str, Any]:
    """A contestant in a process of its own: its report, or how it failed."""
    command = [sys.executable, "-m", "bench.nasty", "--contestant", name]
    command += ["--path", str(vocabulary), "--text", str(text)]
    command += ["--limit", str(limit)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode == -signal.SIGXCPU:
        return {"failure": f"over {limit} s"}
    if result.returncode < 0:
        return {"failure": f"died of signal {-result.returncode}"}
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        return {"failure": (lines[-1] if lines else f"exit code {result.returncode}")[:40]}
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def _run(name: str, vocabulary: Path, text: Path) -> dict[str, Any]:
    """What a contestant's process does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {_core()})
    encoder = ENCODERS[name](vocabulary)
    warm_up = "The quick brown fox jumps over the lazy dog; it's 12 o'clock.\n" * 20
    encoder.encode(encoder.prepare(pa.array([warm_up], pa.large_string())))
    prepared = encoder.prepare(pa.array([text.read_text(encoding="utf-8")], pa.large_string()))
    started = _processor_seconds()
    encoded = encoder.encode(prepared)
    seconds = _processor_seconds() - started
    ids = np.ascontiguousarray(encoder.ids(encoded), np.uint32)
    digest = hashlib.sha256(ids.tobytes()).hexdigest()
    return {"ids": digest, "tokens": len(ids), "seconds": seconds}


def _processor_seconds() -> float:
    """Of all threads. (Where a process has a limit, its own clock moves in steps of 4 ms.)"""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _core() -> int:
    """The last core that this process may use."""
    return max(os.sched_getaffinity(0))


def _table(results: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    ordinary: dict[tuple[str, str], float] = {}
    headings = ["vocabulary", "document"]
    headings += [f"{name}, ns a byte (to ordinary)" for name in _CONTESTANTS]
    rows = []
    for result in results:
        cells = []
        for name, report in result["contestants"].items():
            if "failure" in report:
                cells.append(report["failure"])
                continue
            nanoseconds = report["seconds"] * 1e9 / result["bytes"]
            key = (result["vocabulary"], name)
            if result["document"] == _ORDINARY:
                ordinary[key] = nanoseconds
            factor = nanoseconds / ordinary[key] if key in ordinary else float("nan")
            mark = " SLOW" if name == _OURS and factor > _TOO_SLOW else ""
            mark += " WRONG IDS" if name in result["differs"] else ""
            cells.append(f"{nanoseconds:,.1f} ({factor:.2f} x){mark}")
        rows.append([result["vocabulary"], result["document"], *cells])
    return headings, rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.nasty", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    nasty = [name for name in DOCUMENTS if name != _ORDINARY]
    vocabularies = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")
    add = parser.add_argument
    add("--vocabularies", nargs="+", default=vocabularies, metavar="NAME")
    add("--documents", nargs="+", default=nasty, choices=nasty, metavar="NAME")
    add("--limit", type=int, default=60, metavar="SECONDS", help="a process; default: 60")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    for hidden in ("--path", "--text"):
        add(hidden, type=Path, help=argparse.SUPPRESS)
    add("--contestant", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
