"""Where one worker's time goes: `python -m bench.stages`.

    decompress   read the raw file, hash it, decode it         time inside `decompress`
    parse        lines or records to columns of documents      the rest of the reader's time
    encode       Tokenizer.encode_documents
    write        UnitWriter.write: token shard, index, rejects
    commit       UnitWriter.publish: SHA-256 of what was written, fsync, rename, receipt

One process takes the units one after the other, as a worker does, without Beam around it. Beside
it, what the command costs before and after its work: its wall time on an input of one document.
Parquet is decoded by Arrow while it is parsed: its `decompress` is the pass that hashes the file.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench.corpus import TEXTS, inputs_of
from bench.processes import wall_seconds
from bench.report import RESULTS, print_table, write_results
from tokenizer import Tokenizer
from transforms import TokenizeSettings
from transforms.passes.tokenize import facts_of
from transforms.reading import open_reader, reader
from transforms.shards.build import Build
from transforms.shards.json_records import fingerprint_of
from transforms.shards.unit_writer import UnitWriter

STAGES = ("decompress", "parse", "encode", "write", "commit")


class StageClock:
    """Seconds spent in each stage so far."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, call: Callable[[], Any]) -> Any:
        """What the call gives, its time counted."""
        started = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def timed_pieces(self, stage: str, pieces: Iterator[Any]) -> Iterator[Any]:
        """The same pieces, the time it takes to make them counted."""
        end = object()
        while (piece := self.timed(stage, lambda: next(pieces, end))) is not end:
            yield piece


def time_units(paths: list[Path], output: Path, settings: TokenizeSettings) -> dict[str, Any]:
    """Tokenizes the inputs as TokenizePass does; returns seconds by stage and text bytes."""
    tokenizer = settings.load_tokenizer()
    tokenizer.encode("one")  # the first call sets a thread's cache up
    clock = StageClock()
    whole, members = reader.decompress, reader.decompress_members
    reader.decompress = lambda *args: clock.timed_pieces("decompress", whole(*args))
    reader.decompress_members = lambda *args: clock.timed_pieces("decompress", members(*args))
    started = time.perf_counter()
    text_bytes = sum(_time_unit(path, output, settings, tokenizer, clock) for path in paths)
    seconds = time.perf_counter() - started
    reader.decompress, reader.decompress_members = whole, members
    clock.seconds["parse"] -= clock.seconds["decompress"]  # it was counted in both
    return {"text_bytes": text_bytes, "wall_seconds": seconds, "stage_seconds": clock.seconds}


def _time_unit(
    path: Path,
    output: Path,
    settings: TokenizeSettings,
    tokenizer: Tokenizer,
    clock: StageClock,
) -> int:
    described = settings.described(tokenizer)
    build = Build.at(str(output), "bench")
    with (
        open_reader(str(path), settings.read) as opened,
        UnitWriter(build, path.name, tokenizer.dtype, settings.shards) as writer,
    ):
        for batch in clock.timed_pieces("parse", opened):
            encoded = clock.timed(
                "encode",
                lambda text=batch.documents.text: tokenizer.encode_documents(
                    text, end_of_text=settings.end_of_text_id(tokenizer), dtype=tokenizer.dtype
                ),
            )
            clock.timed("write", lambda pair=(batch, encoded): writer.write(*pair))
        receipt = clock.timed(
            "commit",
            lambda: writer.publish(
                fingerprint=fingerprint_of(described),
                settings=described,
                source=facts_of(opened),
            ),
        )
    text_bytes: int = receipt.input.text_bytes
    return text_bytes


def _start_up_seconds(place: Path, rounds: int) -> float:
    """Median wall time of a whole command that has nearly nothing to do."""
    source = place / "one.jsonl"
    source.write_text('{"text": "one"}\n', encoding="utf-8")
    command = [sys.executable, "-m", "pipeline", "build", "--input", str(source), "--output"]
    return median(wall_seconds([*command, str(place / f"one-{at}")]) for at in range(rounds))


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    settings = TokenizeSettings(tokenizer=options.tokenizer)
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        inputs, source = inputs_of(options.text, place / "generated", options.input)
        runs = [
            time_units(inputs, place / f"output-{number}", settings)
            for number in range(options.rounds)
        ]
        start_up = _start_up_seconds(place, options.rounds)
    text_bytes = runs[0]["text_bytes"]
    stages = {stage: median(run["stage_seconds"][stage] for run in runs) for stage in STAGES}
    stages["other"] = median(run["wall_seconds"] for run in runs) - sum(stages.values())
    whole = sum(stages.values())
    print_table(
        ["stage", "seconds", "share", "MB/s of text"],
        [
            [
                stage,
                f"{seconds:.3f}",
                f"{seconds / whole:.1%}",
                f"{text_bytes / 1e6 / seconds:,.0f}",
            ]
            for stage, seconds in [*stages.items(), ("all", whole)]
        ],
    )
    print(f"start-up and end of a command: {start_up:.2f} s")
    write_results(
        options.results,
        "stages",
        {
            "inputs": {"source": source, "files": [path.name for path in inputs]},
            "tokenizer": options.tokenizer,
            "text_bytes": text_bytes,
            "stage_seconds": {stage: round(seconds, 4) for stage, seconds in stages.items()},
            "start_up_seconds": round(start_up, 3),
        },
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--input", metavar="GLOB", help="default: what is at hand")
    add("--text", default="english", choices=list(TEXTS))
    add("--tokenizer", default="cl100k_base", metavar="NAME")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3; the first is a cold one")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
