"""The engine beside its peers on one core: `python -m bench.engine`.

    batches as the job reads them ─► tokenmill   Arrow arrays
                                 ├─► gigatoken   lists of str, parallel=False
                                 └─► tiktoken    lists of str, one thread; for a tokenizer.json it
                                     is tokenizers

Ids are compared first. Then the contestants alternate; each measurement is a fresh process on one
core: load and encode one word ("load"), a first pass over the text ("cold"), and more ("warm").
The results of a pass are kept until it ends, as in `[t.encode_batch(b) for b in batches]`, unless
--throw-away is given; "held" is the memory that goes when they are dropped, beside four bytes an
id, and "peak" the most memory that was added in the passes. Reading and preparing the batches is
not timed. Special-token text is plain text for all: the
peers get a tokenizer.json without its special tokens.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.corpus import TEXTS, batches_of, inputs_of
from bench.encoders import ENCODERS, contestants_of
from bench.report import REPOSITORY, RESULTS, print_table, write_results
from bench.vocabulary import names_at_hand, write_vocabulary

_OURS = "tokenmill"
_SCHEMA = pa.schema([pa.field("text", pa.large_string())])


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    if options.contestant:  # a fresh process of ours
        report = _run(options.contestant, options.path, options.text, options)
        print(json.dumps(report))
        return 0
    if options.rounds < 1 or options.warm_passes < 0:
        raise SystemExit("--rounds: expected 1 or more; --warm-passes: 0 or more")
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        given = dict(one.split("=", 1) for one in options.input)
        names = list(given) if given else options.texts
        texts = {name: _write_text(name, place, options, given.get(name)) for name in names}
        results = [
            {"vocabulary": vocabulary, "text": name, **_contest(vocabulary, text, place, options)}
            for vocabulary in options.vocabularies
            for name, text in texts.items()
        ]
    print_table(*_table(results))
    write_results(options.results, options.save_as, {"measurements": results})
    return 0


def _contest(
    vocabulary: str, text: dict[str, Any], place: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """One vocabulary on one text: all contestants, all rounds."""
    path = write_vocabulary(vocabulary, place)
    names = [name for name in contestants_of(path) if name not in options.skip]
    tokens = _compare_tokens(path, names, text, place)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            more = ["--throw-away"] if options.throw_away else []
            runs[name].append(_fresh(name, path, text["path"], options.warm_passes, more))
    contestants = {}
    for name, reports in runs.items():
        cold = [report["pass_seconds"][0] for report in reports]
        warm = [seconds for report in reports for seconds in report["pass_seconds"][1:]]
        contestants[name] = {
            "load_seconds": round(median(report["load_seconds"] for report in reports), 4),
            "cold_megabytes_per_second": round(text["bytes"] / 1e6 / median(cold), 1),
            "warm_megabytes_per_second": round(text["bytes"] / 1e6 / median(warm), 1)
            if warm
            else 0,
            "held_bytes_per_id": round(
                median(report["held_bytes"] for report in reports) / max(1, tokens), 2
            ),
            "peak_bytes": median(report["peak_bytes"] for report in reports),
            "compact_stalls": sum(report["compact_stalls"] for report in reports),
            "cold_seconds": [round(seconds, 4) for seconds in cold],
            "warm_seconds": [round(seconds, 4) for seconds in warm],
        }
    about = {key: text[key] for key in ("source", "documents", "bytes")}
    return {
        **about,
        "tokens": tokens,
        "results": "thrown away" if options.throw_away else "kept",
        "contestants": contestants,
    }


def _write_text(
    name: str, place: Path, options: argparse.Namespace, pattern: str | None
) -> dict[str, Any]:
    """Writes a text's batches to an Arrow file, so that contestants find them ready."""
    inputs, source = inputs_of(name, place / "generated", pattern)
    batches = batches_of(inputs, options.megabytes * 1_000_000)
    path = place / f"{name}.arrow"
    with pa.ipc.new_file(str(path), _SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(pa.record_batch([batch], schema=_SCHEMA))
    return {
        "path": path,
        "source": source,
        "documents": sum(map(len, batches)),
        "bytes": sum(pc.sum(pc.binary_length(batch)).as_py() for batch in batches),
    }


def _compare_tokens(
    vocabulary: Path, names: Sequence[str], text: dict[str, Any], place: Path
) -> int:
    """Encodes the text by every contestant; returns how many ids. SystemExit when they differ."""
    files = {name: place / f"{name}.npy" for name in names}
    for name, file in files.items():
        _fresh(name, vocabulary, text["path"], 0, ["--ids", str(file)])
    ours = np.load(files[_OURS])
    for name, file in files.items():
        theirs = np.load(file)
        if not np.array_equal(ours, theirs):
            raise SystemExit(
                f"{name}, {vocabulary.stem}, {text['path'].stem}: {len(theirs)} ids, {_OURS} has "
                f"{len(ours)}, and they differ: no speed is reported"
            )
    return len(ours)


def _fresh(
    name: str, vocabulary: Path, text: Path, warm_passes: int, more: list[str]
) -> dict[str, Any]:
    """A contestant in a process of its own: its report."""
    command = [sys.executable, "-m", "bench.engine", "--contestant", name]
    command += ["--path", str(vocabulary), "--text", str(text), "--warm-passes", str(warm_passes)]
    command += more
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{name} ended with {result.returncode}:\n{result.stderr[-2000:]}")
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def _run(name: str, vocabulary: Path, text: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What a contestant's process does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Read, not mapped: a first pass must not pay for the pages of the file.
    with pa.ipc.open_file(text.read_bytes()) as file:
        batches = [file.get_batch(at).column("text") for at in range(file.num_record_batches)]
    started = time.perf_counter()
    encoder = ENCODERS[name](vocabulary)
    encoder.encode(encoder.prepare(pa.array(["one"], pa.large_string())))
    load_seconds = time.perf_counter() - started
    prepared = [encoder.prepare(batch) for batch in batches]
    if options.ids:
        parts = [encoder.ids(encoder.encode(batch)) for batch in prepared]
        np.save(options.ids, np.concatenate(parts).astype(np.uint32))
        return {}
    pass_seconds = []
    stalls, held, peak = _compact_stalls(), 0, _start_of_peak()
    for _ in range(1 + options.warm_passes):
        started = time.perf_counter()
        if options.throw_away:
            for batch in prepared:
                encoder.encode(batch)
        else:
            results = [encoder.encode(batch) for batch in prepared]
        pass_seconds.append(time.perf_counter() - started)
        if not options.throw_away:
            before = _private_bytes()
            del results
            held = before - _private_bytes()
    return {
        "load_seconds": load_seconds,
        "pass_seconds": pass_seconds,
        "held_bytes": held,
        "peak_bytes": _peak_bytes() - peak,
        "compact_stalls": _compact_stalls() - stalls,
    }


def _private_bytes() -> int:
    """The memory that this process alone uses, what is free given back; 0 where Linux is not."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if not sys.platform.startswith("linux"):
        return 0
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def _start_of_peak() -> int:
    """Forget the most memory so far; returns what the process has now, 0 where Linux is not."""
    if not sys.platform.startswith("linux"):
        return 0
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak_bytes()


def _peak_bytes() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _compact_stalls() -> int:
    """How often any process has waited for memory to be compacted."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("compact_stall ")), 0)


def _table(results: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    headings = [
        "vocabulary",
        "text",
        "contestant",
        "load, s",
        "cold, MB/s",
        "warm, MB/s",
        "held",
        "peak, MB",
    ]
    rows = []
    for result in results:
        ours = result["contestants"][_OURS]
        for name, theirs in result["contestants"].items():
            ratios = [
                f"{ours[key] / theirs[key]:.2f} x" if theirs[key] else "-"
                for key in ("cold_megabytes_per_second", "warm_megabytes_per_second")
            ]
            rows.append(
                [
                    result["vocabulary"],
                    f"{result['text']} ({result['source']}, {result['bytes'] / 1e6:.0f} MB)",
                    name,
                    f"{theirs['load_seconds']:.3f}",
                    f"{theirs['cold_megabytes_per_second']:.1f}",
                    f"{theirs['warm_megabytes_per_second']:.1f}",
                    f"{theirs['held_bytes_per_id'] / 4:.2f} x",
                    f"{theirs['peak_bytes'] / 1e6:,.0f}",
                    *ratios,
                ]
            )
    return [*headings, "tokenmill's, cold", "tokenmill's, warm"], rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--vocabularies", nargs="+", default=names_at_hand(), metavar="NAME")
    add("--texts", nargs="+", default=list(TEXTS), choices=list(TEXTS))
    add(
        "--input",
        action="append",
        default=[],
        metavar="NAME=GLOB",
        help="measure these files instead, under that name; repeatable",
    )
    add("--rounds", type=int, default=3, metavar="N", help="default: 3")
    add("--warm-passes", type=int, default=2, metavar="N", help="default: 2")
    add("--throw-away", action="store_true", help="drop each batch's results at once")
    add("--megabytes", type=int, default=64, metavar="N", help="of each text, at most; default: 64")
    add(
        "--skip",
        action="append",
        default=[],
        choices=[name for name in ENCODERS if name != _OURS],
        help="leave a peer out; repeatable",
    )
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    add("--save-as", default="engine", metavar="NAME", help="of the results; default: engine")
    for hidden in ("--path", "--text", "--ids"):
        add(hidden, type=Path, help=argparse.SUPPRESS)
    add("--contestant", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
