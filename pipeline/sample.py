"""`python -m pipeline.sample DIR`: a small real input, made of what every Python ships.

The topics of CPython's own documentation (`pydoc_data.topics`), split by sorted name over three
inputs: a WET archive, JSON lines and a Parquet file. The same Python and libraries give the same
bytes.
"""

import gzip
import hashlib
import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

_DATE = "2000-01-01T00:00:00Z"  # a record needs one; a clock would change the bytes
_NAMES = ("topics-0.warc.wet.gz", "topics-1.jsonl.zst", "topics-2.parquet")

Topic = tuple[str, str]  # name, text


def write_sample(directory: Path) -> list[Path]:
    """Writes the three inputs into `directory`, which is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / name for name in _NAMES]
    wet, lines, rows = (sorted(topics.items())[part::3] for part in range(3))
    paths[0].write_bytes(b"".join(_wet_members(wet)))
    paths[1].write_bytes(_zstd_json_lines(lines))
    _write_parquet(rows, paths[2])
    return paths


def _url(name: str) -> str:
    return f"pydoc:{name}"


def _wet_members(documents: Sequence[Topic]) -> Iterator[bytes]:
    """WARC/1.0 records (ISO 28500), a gzip member each: a warcinfo, then a conversion a document.

    This is the form of Common Crawl's WET files.
    """
    about = b"software: tokenmill\r\nformat: WARC File Format 1.0\r\n"
    yield _wet_member("warcinfo", "application/warc-fields", {}, about)
    for name, text in documents:
        target = {"WARC-Target-URI": _url(name)}
        yield _wet_member("conversion", "text/plain", target, text.encode())


def _wet_member(kind: str, content_type: str, more: dict[str, str], block: bytes) -> bytes:
    digest = hashlib.sha256(kind.encode() + repr(more).encode() + block).digest()
    fields = {
        "WARC-Type": kind,
        **more,
        "WARC-Date": _DATE,
        "WARC-Record-ID": f"<urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}>",
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    header = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    record = b"WARC/1.0\r\n" + header.encode() + b"\r\n" + block + b"\r\n\r\n"
    return gzip.compress(record, mtime=0)


def _zstd_json_lines(documents: Sequence[Topic]) -> bytes:
    lines = [
        json.dumps({"id": name, "url": _url(name), "text": text}, ensure_ascii=False) + "\n"
        for name, text in documents
    ]
    return zstandard.ZstdCompressor(write_checksum=True).compress("".join(lines).encode())


def _write_parquet(documents: Sequence[Topic], path: Path) -> None:
    names = [name for name, _ in documents]
    table = pa.table(
        {
            "id": pa.array(names, pa.string()),
            "url": pa.array(map(_url, names), pa.string()),
            "text": pa.array([text for _, text in documents], pa.string()),
        }
    )
    pq.write_table(table, path, compression="zstd")


def main() -> int:
    """The command; returns its exit code."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print("usage: python -m pipeline.sample DIR", file=sys.stderr)
        return 2
    for path in write_sample(Path(sys.argv[1])):
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
