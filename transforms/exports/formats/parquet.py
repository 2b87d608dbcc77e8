"""`parquet`: a row a document, tokens/train/000000.parquet.

    id          url          unit            record  text_xxh3  tokens
    en-0010996  https://...  en/a.jsonl.zst       0  0x8f3a...  [9906, 1917, ...]

Row groups end with the document that brings them to 1 Mi ids; Zstandard.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
)
from transforms.exports.formats.raw_ids import CHUNK_TOKENS
from transforms.exports.index import EXPORT_SCHEMA
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest

_COLUMNS = ("id", "url", "unit", "record", "text_xxh3")


class Parquet(ExportFormat):
    """A column of lists, and where each document is from."""

    name = "parquet"
    uses_rows = True
    end_of_text = "as-built"

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.parquet",)

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths[0], shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        try:
            with pq.ParquetFile(paths[0]) as file:
                if not file.schema_arrow.equals(_schema(shape)):
                    raise MismatchError(f"columns: expected\n{_schema(shape)}")
                for number in range(file.num_row_groups):
                    for column in file.read_row_group(number, ["tokens"]).column(0).chunks:
                        lengths = np.diff(column.offsets.to_numpy()).astype(np.int64)
                        yield column.flatten().to_numpy(), lengths
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise MismatchError(f"not a readable Parquet file: {error}") from error


def _schema(shape: ShardShape) -> pa.Schema:
    ids = pa.from_numpy_dtype(shape.dtype)
    tokens = pa.field("tokens", pa.large_list(pa.field("element", ids, nullable=False)), False)
    return pa.schema([*(EXPORT_SCHEMA.field(name) for name in _COLUMNS), tokens])


class _Writer(ExportWriter):
    def __init__(self, path: str, shape: ShardShape) -> None:
        self._schema = _schema(shape)
        self._file = HashedFile(path)
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._pending: list[pa.RecordBatch] = []
        self._tokens = 0

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        ends = np.cumsum(lengths)
        first = before = 0
        while first < len(lengths):
            # The group's last document is the one that reaches the limit, however they come in.
            full = int(np.searchsorted(ends, before + CHUNK_TOKENS - self._tokens, side="left"))
            last = min(full + 1, len(lengths))
            end = int(ends[last - 1])
            self._add(ids[before:end], lengths[first:last], rows.slice(first, last - first))
            self._tokens += end - before
            first, before = last, end
            if self._tokens >= CHUNK_TOKENS:
                self._flush()

    def _add(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        kind = self._schema.field("tokens").type
        tokens = pa.LargeListArray.from_arrays(offsets, pa.array(ids), type=kind)
        columns = [rows.column(name) for name in _COLUMNS]
        batch = pa.RecordBatch.from_arrays([*columns, tokens], schema=self._schema)
        self._pending.append(batch)

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=len(table))
        self._pending, self._tokens = [], 0

    def finish(self) -> None:
        self._flush()
        self.close()

    def close(self) -> None:
        try:
            self._writer.close()
        finally:  # it writes the footer, for which there may be no room
            self._file.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._file)
