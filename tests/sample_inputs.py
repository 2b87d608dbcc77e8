"""Small inputs of every format, some records bad, made anew for each test that asks."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

GOOD = [
    "Hello world",
    "naïve café, 中文 and 😀",
    "for (i = 0; i < n; ++i) {\n\t}\n",
    "<|endoftext|>",
]


def texts(name: str, count: int) -> list[str]:
    """Distinct, reproducible documents."""
    return [f"{name} {i}: {GOOD[i % len(GOOD)]} " * (1 + i % 7) for i in range(count)]


def json_lines(name: str, count: int) -> bytes:
    rows = [
        {"id": f"{name}-{i}", "url": f"https://example.org/{name}/{i}", "text": text}
        for i, text in enumerate(texts(name, count))
    ]
    return b"".join(
        json.dumps(row, ensure_ascii=i % 2 == 0).encode() + b"\n" for i, row in enumerate(rows)
    )


def wet(name: str, count: int) -> bytes:
    """One gzip member a record, as Common Crawl writes them."""
    records = [("warcinfo", "", "software: test\r\n")]
    records += [
        ("conversion", f"https://example.org/{i}", text)
        for i, text in enumerate(texts(name, count))
    ]
    members = []
    for i, (kind, uri, text) in enumerate(records):
        body = text.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{name}-{i}>\r\n"
            f"WARC-Target-URI: {uri}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        members.append(gzip.compress(head.encode() + body + b"\r\n\r\n", mtime=0))
    return b"".join(members)


def write_inputs(folder: Path, count: int = 40) -> list[Path]:
    """Six inputs in two folders below `folder`; one holds five faulty records."""
    (folder / "sub").mkdir(parents=True)
    bad = b'not json\n{"id": "x"}\n{"text": null}\n{"text": ""}\n{"text": "bad \xff"}\n'
    contents = {
        "a.jsonl.zst": zstandard.compress(json_lines("a", count)),
        "b.jsonl.gz": gzip.compress(json_lines("b", count) + bad, mtime=0),
        "sub/c.jsonl": json_lines("c", count),
        "sub/d.warc.wet.gz": wet("d", count),
        "e.txt": b"a whole file, a document",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    rows = texts("f", count)
    table = pa.table({"text": rows, "id": [f"f-{i}" for i in range(count)]})
    pq.write_table(table, folder / "sub/f.parquet", row_group_size=16)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def output_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a build but those in runs/, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "runs"
    }
