"""Cases of torture.py: folders that are not ours, and inputs that are damaged."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import random
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from sample_inputs import json_lines, wet
from torture_harness import (
    Outcome,
    Ran,
    build,
    case,
    command,
    ended,
    is_complete,
    measured,
    simple,
    totals_of,
    write,
)

# -- what is not ours -----------------------------------------------------------------------------


@case("output folder with files of others", quick=True)
def foreign_files(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 5))
    write(folder / "out/tokens/mine.npy", b"mine")
    ran = build(folder, "--overwrite")
    return simple(ran, ran.code == 2 and (folder / "out/tokens/mine.npy").read_bytes() == b"mine")


@case("inputs inside the output")
def inputs_in_output(folder: Path, quick: bool) -> Outcome:
    write(folder / "out/documents/a.jsonl", json_lines("a", 5))
    ran = build(folder, pattern="out/documents/*.jsonl")
    return simple(ran, ran.code == 2 and (folder / "out/documents/a.jsonl").exists())


@case("two builds of other tokenizers into one output, started together")
def two_builds(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 3000))
    results: list[Ran] = []
    threads = [
        threading.Thread(
            target=lambda name=name: results.append(build(folder, "--tokenizer", name))
        )
        for name in ("r50k_base", "cl100k_base")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checked = command("verify", str(folder / "out"))
    codes = sorted(ran.code for ran in results)
    worst = max(results, key=lambda ran: ran.code)
    return Outcome(
        codes in ([0, 1], [0, 2]) and checked.code == 0,
        f"one {ended(min(results, key=lambda ran: ran.code))}, one {ended(worst)}; "
        f"verify: {checked.code}",
        "",
        worst,
    )


# -- damage ---------------------------------------------------------------------------------------

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def many(
    folder: Path, inputs: Sequence[tuple[str, bytes]], *more: str
) -> tuple[list[tuple[int, dict[str, Any], str]], Ran]:
    """Builds of one input each, in one process of their own: exit code, totals, what was said."""
    for number, (name, content) in enumerate(inputs):
        write(folder / f"{number}/in/{name}", content)
    program = "import sys, torture_damage; torture_damage.build_each(sys.argv[1], sys.argv[2:])"
    ran = measured([sys.executable, "-c", program], [str(folder), *more])
    path = folder / "results.json"
    return (json.loads(path.read_bytes()) if path.exists() else []), ran


def build_each(root: str, more: Sequence[str]) -> None:
    """What the process does that `many` starts; it writes results.json."""
    from pipeline.cli import main
    from pipeline.runners import fork_server

    fork_server.warm_up = lambda *_: None
    results = []
    for folder in sorted(Path(root).iterdir(), key=lambda path: int(path.name)):
        (source,) = (folder / "in").iterdir()
        said = io.StringIO()
        arguments = ["build", "--input", str(source), "--output", str(folder / "out")]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                code = main([*arguments, *more])
            except BaseException:  # noqa: BLE001 (it is what is looked for)
                code = 99
                traceback.print_exc(file=said)
        results.append((code, totals_of(folder / "out"), said.getvalue()))
    Path(root, "results.json").write_text(json.dumps(results))


def tally(
    results: Sequence[tuple[int, dict[str, Any], str]], count: int, most_lost: int, ran: Ran
) -> Outcome:
    """Each ended as it should: never a traceback, the books balance, little is lost."""
    complete = sum(code == 0 for code, _, _ in results)
    withheld = sum(code == 3 for code, _, _ in results)
    other = len(results) - complete - withheld
    silent = sum(
        code == 0
        and totals["documents"] < count
        and not totals["rejects"].keys() - {"not-a-document"}
        for code, totals, _ in results
    )
    lost = sorted(count - totals["documents"] for _, totals, _ in results)
    worst = lost[-1] if lost else 0
    is_kept = not silent and not other and bool(results) and worst <= most_lost
    return Outcome(
        is_kept,
        f"{complete} complete, {withheld} without manifest, {other} otherwise, {silent} in silence",
        f"documents: {lost[len(lost) // 2] if lost else '?'} in the middle, {worst} at most",
        ran,
    )


@case("compressed JSON lines cut off, 14 places each of gz, zst, bz2, xz", quick=True)
def truncated_lines(folder: Path, quick: bool) -> Outcome:
    generator = random.Random(1)
    count = 200
    lines = json_lines("t", count)
    inputs = []
    for suffix, compress in COMPRESS.items():
        content = compress(lines)
        places = [generator.randrange(1, len(content)) for _ in range(2 if quick else 14)]
        inputs += [(f"a.jsonl.{suffix}", content[:place]) for place in places]
    results, ran = many(folder, inputs)
    outcome = tally(results, count, count, ran)
    # A truncated file is never complete, whatever the share.
    outcome.is_kept &= all(code == 3 for code, _, _ in results)
    return outcome


@case("compressed JSON lines with a flipped bit, 14 each of gz, zst, bz2, xz", quick=True)
def flipped_lines(folder: Path, quick: bool) -> Outcome:
    generator = random.Random(2)
    count = 200
    lines = json_lines("t", count)
    inputs = []
    for suffix, compress in COMPRESS.items():
        content = compress(lines)
        each = [flipped(content, generator) for _ in range(2 if quick else 14)]
        inputs += [(f"a.jsonl.{suffix}", content) for content in each]
    results, ran = many(
        folder, inputs, "--max-rejects", "100%", "--allow-truncated", "--allow-empty"
    )
    return tally(results, count, count, ran)


@case("WET of one gzip member a record with a flipped bit, 80 times", quick=True)
def flipped_wet(folder: Path, quick: bool) -> Outcome:
    generator = random.Random(3)
    count = 60
    content = wet("w", count)
    inputs = [("a.warc.wet.gz", flipped(content, generator)) for _ in range(8 if quick else 80)]
    results, ran = many(folder, inputs, "--max-rejects", "100%", "--allow-truncated")
    return tally(results, count, 3, ran)


@case("Parquet with a flipped bit in its footer, 300 times", quick=True)
def flipped_footers(folder: Path, quick: bool) -> Outcome:
    generator = random.Random(4)
    count = 200
    sink = io.BytesIO()
    table = pa.table({"text": [f"document {n}" for n in range(count)]})
    pq.write_table(table, sink, row_group_size=50)
    content = sink.getvalue()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    inputs = [
        ("a.parquet", content[:-footer] + flipped(content[-footer:], generator))
        for _ in range(12 if quick else 300)
    ]
    results, ran = many(
        folder, inputs, "--max-rejects", "100%", "--allow-truncated", "--allow-empty"
    )
    complete = sum(code == 0 for code, _, _ in results)
    named = sum(code in (1, 2, 3) and "tokenmill: " in said for code, _, said in results)
    silent = sum(
        code == 0 and totals["documents"] < count and not totals["rejects"]
        for code, totals, _ in results
    )
    crashed = len(inputs) - complete - named
    return Outcome(
        not crashed and not silent,
        f"{complete} complete or rejected, {named} refused by name, {crashed} otherwise, "
        f"{silent} in silence",
        "",
        ran,
    )


def flipped(content: bytes, generator: random.Random) -> bytes:
    changed = bytearray(content)
    changed[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    return bytes(changed)


@case("WET records one of which claims to be larger than the file")
def lying_length(folder: Path, quick: bool) -> Outcome:
    count = 50 if quick else 5000
    content = gzip.decompress(wet("w", count))
    at = content.index(b"Content-Length: ", len(content) // 2)
    stop = content.index(b"\r\n", at)
    write(folder / "in/a.warc.wet", content[:at] + b"Content-Length: 99999999" + content[stop:])
    ran = build(folder, "--max-rejects", "100%", "--allow-truncated")
    lost = count - ran.documents
    return simple(ran, ran.code == 0 and lost <= 2, f"{lost} of {count} documents")


@case("an input that was cut in half, of 1 file of 20", quick=True)
def half_a_file(folder: Path, quick: bool) -> Outcome:
    for number in range(20):
        content = gzip.compress(json_lines(f"n{number}", 50), mtime=0)
        write(
            folder / f"in/{number}.jsonl.gz", content[: len(content) // (2 if number == 7 else 1)]
        )
    ran = build(folder)
    return simple(
        ran, ran.code == 3 and not is_complete(folder), f"{1000 - ran.documents} of 1,000"
    )


@case("only empty files")
def only_empty(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", b"")
    write(folder / "in/b.jsonl.gz", gzip.compress(b"", mtime=0))
    ran = build(folder)
    return simple(ran, ran.code == 3)


@case("an option mistyped beside --runner")
def mistyped(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 5))
    ran = build(folder, "--runner=DirectRunner", "--tokeniser", "gpt2")
    return simple(ran, ran.code == 2)
