"""`ApplyMergeRules` in a pipeline beside the kernel that it calls: `python -m bench.transform`.

    kernel     Tokenizer.encode_documents, batch by batch, as a worker of `tokenmill build` calls it
    arrays     the transform on Beam's in-process runner, an Arrow array an element
    strings    the same, a str an element

Tokens are compared first. The contestants alternate in one process with one warm tokenizer; a
figure is the fastest of the rounds, of processor time, with what the runner takes to start.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import MetricsFilter

from bench.corpus import TEXTS, batches_of, inputs_of
from bench.report import RESULTS, print_table, write_results
from tokenizer import Tokenizer
from transforms import ApplyMergeRules

BATCHES: list[pa.Array] = []


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    tokenizer = Tokenizer.load("cl100k_base")
    measured = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        for name in options.texts if options.input is None else ["given"]:
            inputs, source = inputs_of(name, Path(folder) / "generated", options.input)
            batches = batches_of(inputs, options.megabytes * 10**6)
            contestants = {
                "kernel": lambda batches=batches: _encode(tokenizer, batches),
                "arrays": lambda batches=batches: _in_pipeline(batches, as_strings=False),
                "strings": lambda batches=batches: _in_pipeline(batches, as_strings=True),
            }
            seconds = _fastest(contestants, options.rounds)
            measured.append({"text": name, "source": source, "seconds": seconds})
    print_table(
        ["text", "kernel, s", "arrays", "of the kernel's speed", "strings", "of it"],
        [_row(one["text"], one["seconds"]) for one in measured],
    )
    write_results(options.results, "transform", {"measurements": measured})
    return 0


def _encode(tokenizer: Tokenizer, batches: list[pa.Array]) -> int:
    return sum(len(tokenizer.encode_documents(batch).tokens) for batch in batches)


def array_of(number: int) -> pa.Array:
    """A batch by its number, so that no coder of the runner touches it."""
    return BATCHES[number]


def strings_of(number: int) -> list[str]:
    """The texts of a batch."""
    return list(BATCHES[number].to_pylist())


def _in_pipeline(batches: list[pa.Array], *, as_strings: bool) -> int:
    """How many tokens come out."""
    from bench import transform  # not __main__, whose functions are pickled with all they name

    transform.BATCHES = batches
    pipeline = beam.Pipeline("FnApiRunner")
    numbers = pipeline | beam.Create(range(len(batches)))
    if as_strings:
        texts = numbers | beam.FlatMap(transform.strings_of).with_output_types(str)
    else:
        texts = numbers | beam.Map(transform.array_of).with_output_types(pa.Array)
    _ = (texts | ApplyMergeRules("cl100k_base")).tokens | beam.Map(len)
    counters = pipeline.run().metrics().query(MetricsFilter().with_name("tokens"))["counters"]
    return sum(int(counter.committed) for counter in counters)


def _fastest(contestants: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    counts = {name: run() for name, run in contestants.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"tokens differ: no speed is reported: {counts}")
    fastest = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, run in contestants.items():
            started = time.process_time()
            run()
            fastest[name] = min(fastest[name], time.process_time() - started)
    return fastest


def _row(text: str, seconds: dict[str, float]) -> list[Any]:
    kernel, arrays, strings = (seconds[name] for name in ("kernel", "arrays", "strings"))
    shares = (f"{kernel / arrays:.2f}", f"{kernel / strings:.2f}")
    return [text, f"{kernel:.2f}", f"{arrays:.2f}", shares[0], f"{strings:.2f}", shares[1]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", nargs="+", default=list(TEXTS), choices=TEXTS)
    parser.add_argument("--input", metavar="GLOB", help="files to measure instead of --texts")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
