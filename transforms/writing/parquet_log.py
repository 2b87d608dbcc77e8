"""The two Parquet files beside the token shards: documents and rejects.

Rows are collected into row groups of a fixed number of rows, so that the bytes depend on the rows
alone and not on how they came in batches.
"""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.receipt import IndexEntry
from transforms.writing.staged_file import StagedFile

DOCUMENTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),  # null where the input names none
        pa.field("url", pa.string()),
        pa.field("record", pa.int64(), nullable=False),  # 0-based, among the input's records
        pa.field("shard", pa.int32(), nullable=False),  # 0-based, among the unit's shards
        pa.field("start", pa.int64(), nullable=False),  # first token, an index into the shard
        pa.field("length", pa.int64(), nullable=False),  # tokens, begin and end of text included
        pa.field("text_bytes", pa.int64(), nullable=False),  # of UTF-8
        pa.field("text_xxh3", pa.uint64(), nullable=False),  # XXH3-64 of the UTF-8 bytes, seed 0
    ]
)

REJECTS_SCHEMA = pa.schema(
    [
        pa.field("record", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64(), nullable=False),  # decompressed; -1 in Parquet inputs
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("excerpt", pa.binary(), nullable=False),  # raw, at most 64 KiB
    ]
)


class ParquetLog:
    """Rows of one schema, written in order; call `finish` once, then publish the staged file."""

    def __init__(self, staged: StagedFile, schema: pa.Schema, rows_per_group: int) -> None:
        self.staged = staged
        self.rows = 0
        self._schema = schema
        self._rows_per_group = rows_per_group
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._writer = pq.ParquetWriter(staged.local_path, schema, compression="zstd")

    def append(self, columns: dict[str, Any]) -> None:
        """Adds a row for each element of the columns (Arrow or NumPy arrays, or lists)."""
        arrays = [
            value if isinstance(value, pa.Array) else pa.array(value, field.type)
            for field in self._schema
            for value in [columns[field.name]]
        ]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._pending.append(table)
        self._pending_rows += len(table)
        self.rows += len(table)
        if self._pending_rows >= self._rows_per_group:
            self._flush(self._pending_rows // self._rows_per_group * self._rows_per_group)

    def finish(self, path: str) -> IndexEntry:
        """Closes the file and returns its entry; path is its name in the manifest."""
        self._flush(self._pending_rows)
        self._writer.close()
        digest = self.staged.finish()
        return IndexEntry(path=path, rows=self.rows, bytes=digest.bytes, sha256=digest.sha256)

    def close(self) -> None:
        """Gives the file handle back; harmless after `finish`."""
        self._writer.close()

    def _flush(self, rows: int) -> None:
        if rows == 0:
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        self._writer.write_table(table.slice(0, rows), row_group_size=self._rows_per_group)
        rest = table.slice(rows)
        self._pending = [rest] if len(rest) else []
        self._pending_rows = len(rest)
