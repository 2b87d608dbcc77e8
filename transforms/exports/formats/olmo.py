"""`olmo`: the files of dolma, which OLMo-core reads, tokens/train/part-0-00000.npy and .csv.gz.

    .npy      │ id id id ... │  u16 or u32, raw: in spite of its name there is no .npy header
    .csv.gz   0,812,en-0010996,en/a.jsonl.zst,1       start, end (exclusive), id, input, record
              812,2044,en-0010997,en/a.jsonl.zst,2    1-based; no header line

Start and end count ids of the shard.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

import numpy as np
import pyarrow as pa

from transforms.errors import MismatchError
from transforms.exports.formats.interface import (
    ExportFormat,
    ExportWriter,
    Ids,
    Lengths,
    ShardShape,
)
from transforms.exports.formats.raw_ids import expect_size, read_documents
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest


class Olmo(ExportFormat):
    """Ids, and a compressed table of documents."""

    name = "olmo"
    uses_rows = True

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/part-0-{number:05d}.npy", f"{split}/part-0-{number:05d}.csv.gz")

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        expect_size(paths[0], shape.tokens * shape.dtype.itemsize)
        try:
            with gzip.open(paths[1], "rt", encoding="utf-8", newline="") as file:
                bounds = np.array([row[:2] for row in csv.reader(file)], np.int64).reshape(-1, 2)
        except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
            raise MismatchError(f"{paths[1]}: no table of documents: {error}") from error
        lengths = bounds[:, 1] - bounds[:, 0]
        if (lengths < 1).any() or not np.array_equal(np.cumsum(lengths), bounds[:, 1]):
            raise MismatchError("documents do not follow each other")
        yield from read_documents(paths[0], shape.dtype, 0, lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return 0


class _Writer(ExportWriter):
    def __init__(self, paths: Sequence[str]) -> None:
        self._files = ExitStack()
        self._ids = self._files.enter_context(closing(HashedFile(paths[0])))
        self._raw = self._files.enter_context(closing(HashedFile(paths[1])))
        # No name and no clock in it: the same rows are the same bytes.
        packed = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
        self._table = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        self._files.callback(self._table.close)  # and the compressor below it, before its file
        self._rows = csv.writer(self._table, lineterminator="\n")

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._ids.write(ids)
        starts = rows.column("start").to_numpy()
        self._rows.writerows(
            zip(
                starts.tolist(),
                (starts + lengths).tolist(),
                rows.column("id").to_pylist(),
                rows.column("unit").to_pylist(),
                (rows.column("record").to_numpy() + 1).tolist(),
                strict=True,
            )
        )

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self._files.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._ids, self._raw)
