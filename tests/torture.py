"""Inputs that hurt, one after the other, as a table: what happened, what was lost, at what cost.

    python tests/torture.py              what `make torture` runs, for docs/reliability.md
    python tests/torture.py --quick      smaller, as `make test` does it (tests/test_torture.py)

A case makes its input, runs the command in a process of its own, whose memory and time are
measured, and says whether what came out is what is promised.
"""

import argparse
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from sample_inputs import json_lines, wet

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Ran:
    """How a command ended."""

    code: int
    said: str
    seconds: float
    peak_bytes: int
    totals: dict[str, Any] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        return int(self.totals.get("documents", 0))

    def line(self) -> str:
        """What it said last, in short."""
        lines = [line for line in self.said.splitlines() if line.startswith(("tokenmill:", "  "))]
        return lines[0].strip() if lines else ""


@dataclass
class Outcome:
    """A line of the table."""

    is_kept: bool
    happened: str
    lost: str
    ran: Ran


Case = Callable[[Path, bool], Outcome]
CASES: list[tuple[str, bool, Case]] = []


def case(name: str, *, quick: bool = False) -> Callable[[Case], Case]:
    """Adds a case. quick: it takes part in `make test`."""

    def add(function: Case) -> Case:
        CASES.append((name, quick, function))
        return function

    return add


def command(*arguments: str, limit_seconds: float = 300) -> Ran:
    """Runs a command of tokenmill."""
    ran = measured([sys.executable, "-m", "pipeline"], arguments, limit_seconds)
    if "--output" in arguments:
        ran.totals = totals_of(Path(arguments[arguments.index("--output") + 1]))
    return ran


def measured(program: list[str], arguments: Sequence[str], limit_seconds: float = 3600) -> Ran:
    """Runs a program; its peak memory is that of its largest process."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        timer = threading.Timer(limit_seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = re.sub(r"\S*/tokenmill-torture-\w+/", "", output.read().decode(errors="replace"))
    seconds = time.monotonic() - started
    return Ran(process.returncode, said, seconds, usage.ru_maxrss << 10)


def totals_of(output: Path) -> dict[str, Any]:
    """What the receipts add up to, also where there is no manifest."""
    totals: dict[str, Any] = {"documents": 0, "records": 0, "lost_bytes": 0, "rejects": {}}
    for path in output.glob("receipts/**/*.json"):
        books = json.loads(path.read_bytes())["input"]
        for name in ("documents", "records", "lost_bytes"):
            totals[name] += books[name]
        for reason, count in books["rejects"].items():
            totals["rejects"][reason] = totals["rejects"].get(reason, 0) + count
    return totals


def build(folder: Path, *more: str, pattern: str = "in/*", limit_seconds: float = 300) -> Ran:
    arguments = ["build", "--input", str(folder / pattern), "--output", str(folder / "out")]
    return command(*arguments, *more, limit_seconds=limit_seconds)


def is_complete(folder: Path) -> bool:
    return (folder / "out/manifest.json").exists()


def rejects_text(ran: Ran) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(ran.totals["rejects"].items()))


def ended(ran: Ran) -> str:
    if ran.code == -signal.SIGKILL:
        return "did not end in time"
    return {0: "complete", 1: "failed", 2: "refused", 3: "no manifest"}.get(
        ran.code, f"exit code {ran.code}"
    )


def simple(ran: Ran, is_kept: bool, lost: str = "") -> Outcome:
    what = ended(ran)
    if ran.code == 0 and ran.totals:
        what += f": {ran.documents:,} documents"
    if rejects := rejects_text(ran) if ran.totals else "":
        what += f"; {rejects}"
    elif ran.code:
        what += f": {ran.line()[:90]}"
    return Outcome(is_kept and "Traceback (most" not in ran.said, what, lost, ran)


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
    reader, writer = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with contextlib.suppress(BaseException), open(writer, "w") as file:
            json.dump(_build_each(folder, inputs, more), file)
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    _, status, usage = os.wait4(child, 0)
    ran = Ran(
        os.waitstatus_to_exitcode(status), "", time.monotonic() - started, usage.ru_maxrss << 10
    )
    return (json.loads(text) if text else []), ran


def _build_each(
    folder: Path, inputs: Sequence[tuple[str, bytes]], more: Sequence[str]
) -> list[tuple[int, dict[str, Any], str]]:
    from pipeline.cli import main
    from pipeline.runners import fork_server

    fork_server.warm_up = lambda: None
    results = []
    for number, (name, content) in enumerate(inputs):
        write(folder / f"{number}/in/{name}", content)
        out = str(folder / f"{number}/out")
        said = io.StringIO()
        arguments = ["build", "--input", str(folder / f"{number}/in/{name}"), "--output", out]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                code = main([*arguments, *more])
            except BaseException:  # noqa: BLE001 (it is what is looked for)
                code = 99
                traceback.print_exc(file=said)
        results.append((code, totals_of(Path(out)), said.getvalue()))
    return results


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
    results, ran = many(folder, inputs, "--max-rejects", "1", "--allow-truncated", "--allow-empty")
    return tally(results, count, count, ran)


@case("WET of one gzip member a record with a flipped bit, 80 times", quick=True)
def flipped_wet(folder: Path, quick: bool) -> Outcome:
    generator = random.Random(3)
    count = 60
    content = wet("w", count)
    inputs = [("a.warc.wet.gz", flipped(content, generator)) for _ in range(8 if quick else 80)]
    results, ran = many(folder, inputs, "--max-rejects", "1", "--allow-truncated")
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
    results, ran = many(folder, inputs, "--max-rejects", "1", "--allow-truncated", "--allow-empty")
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
    ran = build(folder, "--max-rejects", "1", "--allow-truncated")
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


# -- what is large --------------------------------------------------------------------------------


@case("one bad UTF-8 byte, one bad line and one null text in 50 documents", quick=True)
def one_bad(folder: Path, quick: bool) -> Outcome:
    lines = json_lines("a", 50).splitlines(keepends=True)
    lines[10] = b'{"text": "bad \xff byte"}\n'
    lines[20] = b'{"text": \n'
    lines[30] = b'{"text": null}\n'
    write(folder / "in/a.jsonl.gz", gzip.compress(b"".join(lines), mtime=0))
    ran = build(folder, "--max-rejects", "0.1")
    return simple(ran, ran.code == 0 and ran.documents == 47, "3 of 50 documents, each named")


@case("a bomb: one line of 10 GB in 1 MB of zstd")
def bomb(folder: Path, quick: bool) -> Outcome:
    size = (64 << 20) if quick else 10_000_000_000
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=False).compressobj()
    (folder / "in").mkdir(parents=True)
    with (folder / "in/a.jsonl.zst").open("wb") as file:
        file.write(compressor.compress(b'{"text": "'))
        block = b"x" * (8 << 20)
        for _ in range(size // len(block)):
            file.write(compressor.compress(block))
        file.write(compressor.compress(b'"}\n' + json_lines("after", 1)) + compressor.flush())
    ran = build(folder, "--max-rejects", "1", limit_seconds=900)
    return simple(ran, ran.documents >= 1 and ran.peak_bytes < 2 << 30, "the line alone")


@case("60,000 lines with URLs of 60 KB")
def long_urls(folder: Path, quick: bool) -> Outcome:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    (folder / "in").mkdir(parents=True)
    with (folder / "in/a.jsonl.zst").open("wb") as file:
        for number in range(2_000 if quick else 60_000):
            row = {"id": str(number), "url": "u" * 60_000, "text": f"text {number}"}
            file.write(compressor.compress(json.dumps(row).encode() + b"\n"))
        file.write(compressor.flush())
    ran = build(folder, "--max-rejects", "1", limit_seconds=900)
    return simple(ran, ran.code == 0 and ran.peak_bytes < 1 << 30)


@case("Parquet of 600 bytes whose text is over 4 GiB when decoded")
def dictionary_bomb(folder: Path, quick: bool) -> Outcome:
    rows = 2_000 if quick else 80_000
    indices = pa.array([0 if number % 3 else None for number in range(rows)], pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 65_536]))
    (folder / "in").mkdir(parents=True)
    pq.write_table(pa.table({"text": text}), folder / "in/a.parquet", compression="zstd")
    ran = build(folder, "--max-rejects", "1", limit_seconds=900)
    return simple(ran, ran.code == 0 and ran.peak_bytes < 3 << 30)


@case("a line whose id is nested 960 deep, and 30 other files", quick=True)
def deep_id(folder: Path, quick: bool) -> Outcome:
    deep = b'{"text": "x", "id": ' + b"[" * 960 + b"]" * 960 + b"}\n"
    write(folder / "in/deep.jsonl", deep + json_lines("d", 3))
    for number in range(30):
        write(folder / f"in/{number}.jsonl", json_lines(f"n{number}", 3))
    ran = build(folder, "--max-rejects", "1")
    return simple(ran, ran.documents >= 93, f"{94 - ran.documents} of 94 documents")


@case("100,000 lines without a text that is a string")
def not_strings(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", b'{"text":1}\n' * (5_000 if quick else 100_000))
    write(folder / "in/b.jsonl", json_lines("b", 3))
    ran = build(folder, "--max-rejects", "1")
    return simple(ran, ran.code == 0 and ran.seconds < 60)


@case("HTML with 200,000 attributes")
def many_attributes(folder: Path, quick: bool) -> Outcome:
    attributes = b" ".join(b'a%d="x"' % n for n in range(5_000 if quick else 200_000))
    write(folder / "in/a.warc", response(b"<html><body><p " + attributes + b">Text here</p>"))
    ran = build(folder, "--max-rejects", "1", "--allow-empty")
    return simple(ran, ran.code == 0 and ran.seconds < 60)


@case("an HTTP header folded over 100,000 lines")
def folded_header(folder: Path, quick: bool) -> Outcome:
    folds = b"X-Long: a" + b"\r\n b" * (5_000 if quick else 600_000)
    write(folder / "in/a.warc", response(b"<p>Text here</p>", folds))
    ran = build(folder, "--max-rejects", "1", "--allow-empty")
    return simple(ran, ran.code == 0 and ran.seconds < 60)


def response(body: bytes, header: bytes = b"X: y") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + header + b"\r\n\r\n" + body
    head = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
        b"WARC-Target-URI: https://example.org/\r\nContent-Type: application/http; msgtype=response"
        b"\r\nContent-Length: %d\r\n\r\n" % len(block)
    )
    return head + block + b"\r\n\r\n"


# -- what is no file, or oddly named --------------------------------------------------------------


@case("a FIFO as input", quick=True)
def fifo(folder: Path, quick: bool) -> Outcome:
    (folder / "in").mkdir(parents=True)
    os.mkfifo(folder / "in/a.jsonl")
    ran = build(folder, limit_seconds=60)
    return simple(ran, ran.code == 2)


@case("/dev/zero as input")
def dev_zero(folder: Path, quick: bool) -> Outcome:
    ran = command(
        *("build", "--input", "/dev/zero", "--input-format", "jsonl"),
        *("--output", str(folder / "out")),
        limit_seconds=60,
    )
    return simple(ran, ran.code == 2)


@case("names that are not UTF-8, with line breaks, of 230 bytes, `a.jsonl` beside `a.jsonl.npy/`")
def odd_names(folder: Path, quick: bool) -> Outcome:
    names = [b"caf\xe9.jsonl", b"x\ncomplete: y.jsonl", b"x" * 224 + b".jsonl", b"a.jsonl"]
    for name in [*names, b"a.jsonl.npy/b.jsonl", b"[ab].jsonl"]:
        path = os.path.join(os.fsencode(folder), b"in", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(json_lines("n", 2))
    ran = build(folder, "--input-root", str(folder / "in"), pattern="in/**")
    checked = command("verify", str(folder / "out"), "--retokenize", "1")
    forged = any(
        line.startswith("complete: ") and "manifest.json" not in line
        for line in ran.said.splitlines()
    )
    return simple(ran, ran.documents == 12 and checked.code == 0 and not forged)


# -- kills and full disks -------------------------------------------------------------------------


@case("killed at every point where a build changes the disk, and resumed")
def kills(folder: Path, quick: bool) -> Outcome:
    return at_points(folder, ["kill-before:all", "kill-after:all"], "SIGKILL")


@case("every such call fails: no space left, input/output error")
def full_disk(folder: Path, quick: bool) -> Outcome:
    return at_points(folder, ["ENOSPC:all", "EIO:all"], "1")


def at_points(folder: Path, points: list[str], expected: str) -> Outcome:
    from small_build import write_inputs

    write_inputs(folder / "in")
    (folder / "scratch").mkdir()
    ran = measured(
        [sys.executable, "tests/fault_points.py", str(folder / "in"), str(folder / "scratch")],
        points,
    )
    tried = [json.loads(line) for line in ran.said.splitlines()[1:]]
    met = [point for point in tried if point["ended"] == expected]
    wrong = [point for point in tried if point["resumed"] != "0" or point["differs"]]
    return Outcome(
        not wrong and bool(met),
        f"{len(met)} of {len(tried)} builds ended by it; after the same command again "
        f"{len(wrong)} differ",
        "0 documents",
        ran,
    )


@case("a disk of 2 MB")
def small_disk(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", json_lines("a", 60_000))
    (folder / "disk").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder / "disk"],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        return Outcome(True, "skipped: no right to mount a disk here", "", Ran(0, "", 0, 0))
    try:
        (folder / "out").symlink_to(folder / "disk/out")
        (folder / "disk/out").mkdir()
        ran = build(folder)
        subprocess.run(["mount", "-o", "remount,size=200m", folder / "disk"], check=True)
        again = build(folder)
    finally:
        subprocess.run(["umount", folder / "disk"], check=True)
    is_kept = ran.code == 1 and "out/" in ran.line() and again.code == 0
    outcome = simple(ran, is_kept, "0 documents")
    outcome.happened = f"failed, names the place; with more room: {ended(again)}"
    return outcome


# -- the table ------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def run_cases(*, quick: bool, only: str = "") -> list[tuple[str, Outcome]]:
    """All cases, or the quick share of them, each in a folder of its own."""
    results = []
    for name, is_quick, function in CASES:
        if (quick and not is_quick) or only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="tokenmill-torture-") as folder:
            outcome = function(Path(folder), quick)
        print(f"{'ok' if outcome.is_kept else 'NOT AS PROMISED':15} {name}: {outcome.happened}")
        sys.stdout.flush()
        results.append((name, outcome))
    return results


HEADER = [
    "| input | as promised | what happened | lost | peak memory, MB | seconds |",
    "| --- | --- | --- | --- | ---: | ---: |",
]


def table(results: Sequence[tuple[str, Outcome]], before: str = "") -> str:
    """The results as Markdown. before: an earlier table, whose other lines are kept."""
    lines = []
    for name, outcome in results:
        happened = outcome.happened.replace("|", "\\|")
        lines.append(
            f"| {name} | {'yes' if outcome.is_kept else '**no**'} | {happened} | {outcome.lost} "
            f"| {outcome.ran.peak_bytes / 1e6:,.0f} | {outcome.ran.seconds:,.1f} |"
        )
    by_name = {line.split(" | ")[0]: line for line in [*before.splitlines()[2:], *lines]}
    names = [f"| {name}" for name, _, _ in CASES]
    return "\n".join([*HEADER, *(by_name[name] for name in names if name in by_name)])


def main() -> int:
    parser = argparse.ArgumentParser(description="Inputs that hurt, as a table")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds it")
    options = parser.parse_args()
    results = run_cases(quick=options.quick, only=options.only)
    print(table(results))
    if not options.quick:
        sys.path.insert(0, str(REPOSITORY))
        from tools.mutate import section, write_section

        write_section("torture", table(results, section("torture")))
    return 0 if all(outcome.is_kept for _, outcome in results) else 1


if __name__ == "__main__":
    sys.exit(main())
