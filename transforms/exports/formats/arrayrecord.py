"""`arrayrecord`: records for grain, tokens/train/000000.arrayrecord, by the package array_record.

    record i   │ id id id ... │  u16 or u32, little-endian: np.frombuffer(record, "<u4")

A record is a document. The container is the package's own, of one record a group, so that each can
be read alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

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

_RECORDS = 1024
_OPTIONS = "group_size:1"


class ArrayRecord(ExportFormat):
    """Records of raw ids."""

    name = "arrayrecord"
    end_of_text = "as-built"
    package = "array_record"

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.arrayrecord",)

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths[0], shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        try:
            yield from _records(paths[0], shape)
        except (RuntimeError, ValueError) as error:  # what the package raises for a broken file
            raise MismatchError(f"not a readable ArrayRecord file: {error}") from error


def _records(path: str, shape: ShardShape) -> Iterator[tuple[Ids, Lengths]]:
    reader = _module().ArrayRecordReader(path)
    try:
        count = reader.num_records()
        for first in range(0, count, _RECORDS):
            records = reader.read(list(range(first, min(first + _RECORDS, count))))
            sizes = np.array([len(record) for record in records], np.int64)
            if (sizes % shape.dtype.itemsize).any():
                raise MismatchError(f"records from {first} on: not ids of {shape.dtype.str}")
            yield np.frombuffer(b"".join(records), shape.dtype), sizes // shape.dtype.itemsize
    finally:
        reader.close()


def _module() -> Any:
    from array_record.python import array_record_module

    return array_record_module


class _Writer(ExportWriter):
    def __init__(self, path: str, shape: ShardShape) -> None:
        self._itemsize = shape.dtype.itemsize
        self._writer = _module().ArrayRecordWriter(path, _OPTIONS)

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        content = ids.tobytes()
        start = 0
        for size in (lengths * self._itemsize).tolist():
            self._writer.write(content[start : start + size])
            start += size

    def finish(self) -> None:
        self._writer.close()

    def close(self) -> None:
        if self._writer.is_open():
            self._writer.close()
