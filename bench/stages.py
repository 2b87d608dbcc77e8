"""Where one worker's time goes: `python -m bench.stages`.

    decompress   read the raw file, hash it, decode it         time inside `decompress`
    parse        lines or records to columns of documents      the rest of the reader's time
    encode       Tokenizer.encode_documents
    write        UnitWriter.write: token shard, index, rejects
    commit       UnitWriter.publish: SHA-256 of what was written, fsync, rename, receipt

One process takes the units one after the other, as a worker does. Beside it: what the command
costs before and after its work, which is its wall time on an input of one document; and the limit,
which is to decompress, to parse, and to encode once more what has just been encoded. Parquet is
decoded by Arrow while it is parsed: its `decompress` is the pass that hashes the file.

With FOLDER, which `python -m bench.debian FOLDER` made, the same for each format of bench.formats.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.corpus import TEXTS, inputs_of
from bench.formats import FORMATS, inputs_in
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

    def __init__(self, with_warm: bool) -> None:
        self.with_warm = with_warm
        self.seconds = dict.fromkeys([*STAGES, "warm"], 0.0)

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


def time_units(
    paths: list[Path], output: Path, settings: TokenizeSettings, *, with_warm: bool = False
) -> dict[str, Any]:
    """Tokenizes the inputs as TokenizePass does; returns seconds by stage and text bytes.

    with_warm: encodes every batch twice; "warm" has the seconds of the second time alone.
    """
    tokenizer = settings.load_tokenizer()
    tokenizer.encode("one")  # the first call sets a thread's cache up
    clock = StageClock(with_warm)
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
            encode = partial(
                tokenizer.encode_documents,
                batch.documents.text,
                end_of_text=settings.end_of_text_id(tokenizer),
                dtype=tokenizer.dtype,
            )
            encoded = clock.timed("encode", encode)
            if clock.with_warm:
                clock.timed("warm", encode)
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
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        if options.folder:
            given = {name: sorted(inputs_in(options.folder, name).iterdir()) for name in FORMATS}
        else:
            paths, source = inputs_of(options.text, place / "generated", options.input)
            given = {source: paths}
        found = {name: _measure(name, paths, place, options) for name, paths in given.items()}
        start_up = _start_up_seconds(place, options.rounds)
    print(f"start-up and end of a command: {start_up:.2f} s")
    about = {"tokenizer": options.tokenizer, "start_up_seconds": round(start_up, 3)}
    write_results(options.results, "stages", {**about, "inputs": found})
    return 0


def _measure(
    name: str, paths: list[Path], place: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds of each stage on some inputs, and what share of the limit is reached."""
    settings = TokenizeSettings(tokenizer=options.tokenizer)
    runs = [
        time_units(paths, place / f"{name}-{number}", settings) for number in range(options.rounds)
    ]
    again = [
        time_units(paths, place / f"{name}-again-{number}", settings, with_warm=True)
        for number in range(options.rounds)
    ]
    stages = {stage: median(run["stage_seconds"][stage] for run in runs) for stage in STAGES}
    stages["other"] = median(run["wall_seconds"] for run in runs) - sum(stages.values())
    whole, text_bytes = sum(stages.values()), runs[0]["text_bytes"]
    limit = stages["decompress"] + stages["parse"]
    limit += median(run["stage_seconds"]["warm"] for run in again)
    print_table(
        [name, "seconds", "share", "MB/s of text"],
        [
            [
                stage,
                f"{seconds:.3f}",
                f"{seconds / whole:.1%}",
                f"{text_bytes / 1e6 / seconds:,.0f}" if seconds else "-",
            ]
            for stage, seconds in [*stages.items(), ("all", whole), ("the limit", limit)]
        ],
    )
    return {
        "files": len(paths),
        "text_bytes": text_bytes,
        "stage_seconds": {stage: round(seconds, 4) for stage, seconds in stages.items()},
        "limit_seconds": round(limit, 4),
        "share_of_limit": round(limit / whole, 3),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="what `python -m bench.debian` made")
    add("--input", metavar="GLOB", help="default: what is at hand")
    add("--text", default="english", choices=list(TEXTS))
    add("--tokenizer", default="cl100k_base", metavar="NAME")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3; the first is a cold one")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
