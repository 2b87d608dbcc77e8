"""Parquet files that lie: their footers are changed, or a few bytes of them decode to many."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 200  # of a group; 400 as a zigzag varint is 90 03, and a field that holds an i64 begins 16
_COUNT = bytes([0x16, 0x90, 0x03])
TEXTS = [f"row {i:04}" for i in range(5 * _ROWS)]


def write_with_counts(
    path: Path, group: int, *, rows: int | None, values: int | None = None
) -> None:
    """TEXTS in five groups, of which one says it has other `rows`, or its column other `values`."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), sink, row_group_size=_ROWS, use_dictionary=False)
    data, footer = split_footer(sink.getvalue())
    places = [at for at in range(len(footer)) if footer.startswith(_COUNT, at)]
    assert len(places) == 10  # of each group its column's, then its own
    for number, place in ((rows, places[2 * group + 1]), (values, places[2 * group])):
        if number is not None:
            footer = footer[: place + 1] + varint(number) + footer[place + len(_COUNT) :]
    path.write_bytes(with_footer(data, footer))


def write_with_total(path: Path, rows: int) -> None:
    """TEXTS in five groups, and a footer that says there are so many rows."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), sink, row_group_size=_ROWS)
    data, footer = split_footer(sink.getvalue())
    total = b"\x16" + varint(len(TEXTS))
    path.write_bytes(with_footer(data, footer.replace(total, b"\x16" + varint(rows), 1)))


def split_footer(file: bytes) -> tuple[bytes, bytes]:
    """What stands before the footer, and the footer."""
    size = int.from_bytes(file[-8:-4], "little")
    return file[: -8 - size], file[-8 - size : -8]


def with_footer(data: bytes, footer: bytes) -> bytes:
    return data + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number: int) -> bytes:
    """A signed number as Thrift's compact protocol writes it."""
    left = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    encoded = bytearray()
    while left > 127:
        encoded.append(left & 127 | 128)
        left >>= 7
    return bytes([*encoded, left])


def write_repeated_value(path: Path, *, keeps_type: bool) -> None:
    """A few hundred bytes that hold one text of 1 MiB 2,142 times, and 358 nulls between."""
    indices = pa.array([None if row % 7 == 0 else 0 for row in range(2500)], pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * (1 << 20)]))
    pq.write_table(
        pa.table({"text": column}), path, compression="zstd",
        dictionary_pagesize_limit=1 << 30, store_schema=keeps_type,
    )  # fmt: skip


def write_repeated_lists(path: Path, column: str) -> None:
    """A kilobyte that holds 40 rows with a list of 10 texts of 1 MiB, all of them the same."""
    rows = [["x" * (1 << 20)] * 10] * 40
    table = pa.table({"text": [f"text {row}" for row in range(40)], column: pa.array(rows)})
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 30)


def write_shared_beginnings(path: Path, page_version: str = "1.0") -> None:
    """A few hundred bytes that hold 300 texts of 1 MiB, each told by what it shares."""
    pq.write_table(
        pa.table({"text": ["x" * (1 << 20)] * 300}), path, compression="zstd",
        use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"},
        write_statistics=False, data_page_size=1 << 30, data_page_version=page_version,
    )  # fmt: skip


def write_large_page(path: Path, size: int) -> None:
    """A row of one text of `size` bytes, in a group between two others."""
    schema = pa.schema({"text": pa.string()})
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=False, write_statistics=False
    ) as writer:
        for text in ("before", "x" * size, "after"):
            writer.write_table(pa.table({"text": [text]}, schema))
