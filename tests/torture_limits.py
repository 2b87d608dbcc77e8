"""Cases of torture.py: what is large, oddly named or no file; kills and full disks."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from sample_inputs import json_lines
from torture_harness import Outcome, Ran, build, case, command, ended, measured, simple, write

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
    ran = build(folder, "--max-rejects", "100%", limit_seconds=900)
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
    ran = build(folder, "--max-rejects", "100%", limit_seconds=900)
    return simple(ran, ran.code == 0 and ran.peak_bytes < 1 << 30)


@case("Parquet of 600 bytes whose text is over 4 GiB when decoded")
def dictionary_bomb(folder: Path, quick: bool) -> Outcome:
    rows = 2_000 if quick else 80_000
    indices = pa.array([0 if number % 3 else None for number in range(rows)], pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 65_536]))
    (folder / "in").mkdir(parents=True)
    pq.write_table(pa.table({"text": text}), folder / "in/a.parquet", compression="zstd")
    ran = build(folder, "--max-rejects", "100%", limit_seconds=900)
    return simple(ran, ran.code == 0 and ran.peak_bytes < 3 << 30)


@case("a line whose id is nested 960 deep, and 30 other files", quick=True)
def deep_id(folder: Path, quick: bool) -> Outcome:
    deep = b'{"text": "x", "id": ' + b"[" * 960 + b"]" * 960 + b"}\n"
    write(folder / "in/deep.jsonl", deep + json_lines("d", 3))
    for number in range(30):
        write(folder / f"in/{number}.jsonl", json_lines(f"n{number}", 3))
    ran = build(folder, "--max-rejects", "100%")
    return simple(ran, ran.documents >= 93, f"{94 - ran.documents} of 94 documents")


@case("100,000 lines without a text that is a string")
def not_strings(folder: Path, quick: bool) -> Outcome:
    write(folder / "in/a.jsonl", b'{"text":1}\n' * (5_000 if quick else 100_000))
    write(folder / "in/b.jsonl", json_lines("b", 3))
    ran = build(folder, "--max-rejects", "100%")
    return simple(ran, ran.code == 0 and ran.seconds < 60)


@case("HTML with 200,000 attributes")
def many_attributes(folder: Path, quick: bool) -> Outcome:
    attributes = b" ".join(b'a%d="x"' % n for n in range(5_000 if quick else 200_000))
    write(folder / "in/a.warc", response(b"<html><body><p " + attributes + b">Text here</p>"))
    ran = build(folder, "--max-rejects", "100%", "--allow-empty")
    return simple(ran, ran.code == 0 and ran.seconds < 60)


@case("an HTTP header folded over 100,000 lines")
def folded_header(folder: Path, quick: bool) -> Outcome:
    folds = b"X-Long: a" + b"\r\n b" * (5_000 if quick else 600_000)
    write(folder / "in/a.warc", response(b"<p>Text here</p>", folds))
    ran = build(folder, "--max-rejects", "100%", "--allow-empty")
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


@case("a disk of 2 MB", quick=True)
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
    is_kept = ran.code == 1 and re.search(r"No space.*out|out.*No space", ran.line()) is not None
    is_kept &= again.code == 0
    outcome = simple(ran, is_kept, "0 documents")
    outcome.happened = f"failed, names the place; with more room: {ended(again)}"
    return outcome
