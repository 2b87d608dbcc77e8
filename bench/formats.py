"""The whole job beside bare scripts, a format at a time: `python -m bench.formats FOLDER`.

    FOLDER/{help,documentation,kernel}   ─►  .jsonl.zst  .jsonl.gz  .parquet  .warc.wet.gz
    FOLDER/pages                         ─►  .warc.gz of HTML

FOLDER is what `python -m bench.debian FOLDER` made: text that does not repeat. The same documents
are written in each format once, to FOLDER/formats; then each is a contest of `bench.whole_job`:
ids equal first, fresh processes in turn, start-up included, all checks of ours on.
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from bench.report import RESULTS, print_table, write_results
from bench.vocabulary import write_tiktoken
from bench.whole_job import Contest, bare_scripts, check_tokens, measure

_TEXTS = ("help", "documentation", "kernel")
_ROWS_OF_GROUP = 1000
_DATE = datetime(2026, 1, 1, tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args()
    if not (options.folder / _TEXTS[0]).is_dir():
        raise SystemExit(f"{options.folder}: no texts here; python -m bench.debian makes them")
    measurements = {}
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        place = Path(folder)
        vocabulary = write_tiktoken(options.tokenizer, place)
        for name in options.formats:
            inputs = inputs_in(options.folder, name)
            scripts = bare_scripts(with_tiktoken=False)
            contest = Contest(inputs, vocabulary, options.workers, scripts)
            totals = check_tokens(contest, place)
            print(f"{name}: {totals['tokens']:,} ids are equal", flush=True)
            contestants = measure(contest, place, totals["text_bytes"], options.rounds)
            measurements[name] = {
                **{key: totals[key] for key in ("inputs", "documents", "text_bytes", "tokens")},
                "input_bytes": sum(path.stat().st_size for path in inputs.iterdir()),
                "contestants": contestants,
            }
            write_results(
                options.results,
                "formats",
                {"tokenizer": options.tokenizer, "workers": options.workers} | measurements,
            )
    print_table(
        ["format", "text, MB", "tokenmill, s", "bare script, s", "ratio"], _rows(measurements)
    )
    return 0


def _rows(measurements: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    for name, measured in measurements.items():
        ours, bare = measured["contestants"].values()
        yield [
            name,
            f"{measured['text_bytes'] / 1e6:,.0f}",
            f"{ours['median_seconds']:.2f}",
            f"{bare['median_seconds']:.2f}",
            f"{bare['speed_of_tokenmill']:.2f} x",
        ]


def inputs_in(folder: Path, name: str) -> Path:
    """The folder of the inputs in a format, written the first time."""
    inputs = folder / "formats" / name
    if inputs.is_dir():
        return inputs
    part = inputs.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    texts = ("pages",) if name == "warc" else _TEXTS
    for text in texts:
        for path in sorted((folder / text).glob("*.jsonl.zst")):
            lines = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
            suffix, write = _WRITERS[name]
            target = part / f"{text}-{path.name.partition('.')[0]}.{suffix}"
            target.write_bytes(write(lines.splitlines()))
    part.rename(inputs)
    return inputs


def _json_gz(lines: Sequence[bytes]) -> bytes:
    return gzip.compress(b"".join(line + b"\n" for line in lines), 6, mtime=0)


def _json_zst(lines: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor().compress(b"".join(line + b"\n" for line in lines))


def _parquet(lines: Sequence[bytes]) -> bytes:
    rows = [json.loads(line) for line in lines]
    target = BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows), target, row_group_size=_ROWS_OF_GROUP, compression="zstd"
    )
    return target.getvalue()


def _archive(lines: Sequence[bytes], kind: str, content_type: str, before: bytes) -> bytes:
    """A gzip member a record, as Common Crawl writes them."""
    members = []
    for line in lines:
        row = json.loads(line)
        block = before + row["text"].encode()
        digest = zstandard.ZstdCompressor().compress(row["id"].encode()).hex()[:32]
        head = (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://example.org/{row['id']}\r\n"
            f"WARC-Date: {_DATE}\r\nWARC-Record-ID: <urn:uuid:{digest}>\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
        )
        members.append(gzip.compress(head.encode() + block + b"\r\n\r\n", 6, mtime=0))
    return b"".join(members)


def _wet(lines: Sequence[bytes]) -> bytes:
    return _archive(lines, "conversion", "text/plain", b"")


def _warc(lines: Sequence[bytes]) -> bytes:
    status = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    return _archive(lines, "response", "application/http; msgtype=response", status)


_WRITERS: dict[str, tuple[str, Callable[[Sequence[bytes]], bytes]]] = {
    "zst": ("jsonl.zst", _json_zst),
    "gz": ("jsonl.gz", _json_gz),
    "parquet": ("parquet", _parquet),
    "wet": ("warc.wet.gz", _wet),
    "warc": ("warc.gz", _warc),
}
FORMATS = tuple(_WRITERS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("folder", type=Path, help="what `python -m bench.debian` made")
    add("--formats", nargs="+", default=list(_WRITERS), choices=list(_WRITERS))
    add("--workers", type=int, default=2, metavar="N", help="default: 2")
    add("--rounds", type=int, default=3, metavar="N", help="default: 3")
    add("--tokenizer", default="cl100k_base", choices=["r50k_base", "cl100k_base", "o200k_base"])
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
