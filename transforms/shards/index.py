"""The two Parquet files beside the token shards, documents and rejects: written and read back.

id            url              record  shard  start  length  text_bytes  text_xxh3
en-0010996    https://...           0      0      0     311        1402   0x8f3a...
en-0010997    null                  1      0    311      18          77   0x12c0...

"""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.errors import MismatchError
from transforms.shards.hashed_file import HashedFile
from transforms.shards.receipt import IndexEntry
from transforms.shards.staged_file import StagedFile

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
        pa.field("lost_bytes", pa.int64(), nullable=False),  # decompressed, skipped unread
        pa.field("excerpt", pa.binary(), nullable=False),  # raw, at most 64 KiB
    ]
)


_READ_ROWS = 1 << 16
_GROUP_ROWS = 1 << 16
_GROUP_BYTES = 16 << 20
_ROW_BYTES = 64  # of what is not a string


class ParquetLog:
    """Rows of one schema, written in order; call `finish` once, then publish the staged file.

    A row group ends with the row that makes it _GROUP_BYTES of strings large, or with row number
    _GROUP_ROWS of it: where it ends depends on the rows alone, and memory does not depend on them.
    """

    def __init__(self, staged: StagedFile, schema: pa.Schema) -> None:
        self.staged = staged
        self.rows = 0
        self._schema = schema
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0  # at most: what is too much is measured when groups are written
        self._file = HashedFile(staged.local_path)
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")

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
        self._pending_bytes += table.nbytes + _ROW_BYTES * len(table)
        self.rows += len(table)
        if self._pending_rows >= _GROUP_ROWS or self._pending_bytes >= _GROUP_BYTES:
            self._write_full_groups()

    def finish(self, path: str) -> IndexEntry:
        """Closes the file and returns its entry; path is its name in the manifest."""
        if self._pending_rows:
            self._write_group(pa.concat_tables(self._pending))
        self.close()
        digest = self.staged.finish(self._file.digest)
        return IndexEntry(path=path, rows=self.rows, bytes=digest.bytes, sha256=digest.sha256)

    def close(self) -> None:
        """Gives the file handle back; harmless after `finish`."""
        try:
            self._writer.close()
        finally:  # it writes the footer, for which there may be no room
            self._file.close()

    def _write_full_groups(self) -> None:
        """Writes what makes whole groups; what is left is less than one."""
        table = pa.concat_tables(self._pending)
        sizes = _row_bytes(table)
        ends = np.cumsum(sizes)
        first = written = 0
        while first < len(sizes):
            # The group's last row is the one that reaches the limit.
            full = int(np.searchsorted(ends, written + _GROUP_BYTES, side="left")) + 1
            last = min(full, first + _GROUP_ROWS)
            if last > len(sizes):
                break
            self._write_group(table.slice(first, last - first))
            first, written = last, int(ends[last - 1])
        self._pending = [table.slice(first)]
        self._pending_rows, self._pending_bytes = len(sizes) - first, int(ends[-1]) - written

    def _write_group(self, rows: pa.Table) -> None:
        self._writer.write_table(rows.combine_chunks(), row_group_size=len(rows))


def _row_bytes(table: pa.Table) -> npt.NDArray[np.int64]:
    """What each row counts towards _GROUP_BYTES."""
    sizes = np.full(len(table), _ROW_BYTES, np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return sizes


def read_rows(
    local_path: str,
    path: str,
    schema: pa.Schema,
    columns: Sequence[str],
    first: int = 0,
    stop: int | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of an index file in order, so many at a time.

    Args:
        local_path: where the file is. path: what to call it in a message.
        schema: what it must have. columns: those that are wanted.
        first, stop: of the rows that are wanted; row groups outside are not read.

    Raises:
        MismatchError: it is no Parquet file of that schema.
    """
    try:
        with pq.ParquetFile(local_path) as file:
            found = file.schema_arrow
            if not found.equals(schema):
                raise MismatchError(f"{path}: columns: expected\n{schema}\nfound\n{found}")
            start = 0  # of the row group
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if start + rows > first and (stop is None or start < stop):
                    at = start
                    for batch in file.iter_batches(_READ_ROWS, [group], list(columns)):
                        kept = batch.slice(max(first - at, 0))
                        if stop is not None:
                            kept = kept.slice(0, max(stop - max(at, first), 0))
                        at += len(batch)
                        if len(kept):
                            kept.validate(full=True)  # a flipped bit can make text no UTF-8
                            yield kept
                start += rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: of its names
        raise MismatchError(f"{path}: not a readable Parquet file: {error}") from error
