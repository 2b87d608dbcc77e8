"""Cases of torture.py: what is large, oddly named or no file."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from sample_inputs import json_lines
from torture_harness import Outcome, build, case, command, simple, write

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


@case("one document of 60 MB")
def large_document(folder: Path, quick: bool) -> Outcome:
    return one_document(folder, (4 if quick else 60) << 20, 64)


@case("one document of 240 MB, with --max-document-bytes 256M")
def larger_document(folder: Path, quick: bool) -> Outcome:
    return one_document(folder, (8 if quick else 240) << 20, 256)


def one_document(folder: Path, size: int, allowed_mib: int) -> Outcome:
    """Words, in one line of JSON: memory is that of a worker, and 8 times the bytes."""
    # Not made in one: a child's peak is never less than its parent's was.
    some = b" ".join(b"word%d" % (number * 7919 % 50_000) for number in range(100_000)) + b" "
    compressor = zstandard.ZstdCompressor().compressobj()
    (folder / "in").mkdir(parents=True)
    with (folder / "in/a.jsonl.zst").open("wb") as file:
        file.write(compressor.compress(b'{"text": "'))
        for _ in range(size // len(some)):
            file.write(compressor.compress(some))
        file.write(compressor.compress(b'"}\n') + compressor.flush())
    limit = str(allowed_mib << 20)
    more = ("--max-document-bytes", limit) if allowed_mib > 64 else ()
    ran = build(folder, *more, limit_seconds=900)
    outcome = simple(ran, ran.documents == 1 and ran.peak_bytes < (300 << 20) + 8 * size)
    outcome.happened += f"; {ran.peak_bytes / size:.1f} times its bytes"
    return outcome


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


@case("Parquet of 600 bytes whose text is over 4 GiB when decoded", quick=True)
def dictionary_bomb(folder: Path, quick: bool) -> Outcome:
    rows = 8_000 if quick else 80_000
    indices = pa.array([0 if number % 3 else None for number in range(rows)], pa.int32())
    text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 65_536]))
    (folder / "in").mkdir(parents=True)
    pq.write_table(pa.table({"text": text}), folder / "in/a.parquet", compression="zstd")
    ran = build(folder, "--max-rejects", "100%", limit_seconds=900)
    return simple(ran, ran.code == 0 and ran.peak_bytes < 400 << 20)


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
