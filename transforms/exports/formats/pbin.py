"""`pbin`: the packed data of Modalities, tokens/train/000000.pbin.

    ┌───────────┬──────────┬─────────────┬─────────────────────────────────────────┐
    │ u64 bytes │ u32 2 or │ id id id ...│ pickled [(0, 1624), (1624, 2464), ...]  │
    │ of all ids│ 4: of one│             │ byte offset and bytes of each document  │
    └───────────┴──────────┴─────────────┴─────────────────────────────────────────┘

The pickle is of protocol 4 and holds a list of pairs of integers; it is read back without running
anything that it might name.
"""

import io
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

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
from transforms.exports.formats.raw_ids import read_documents, read_exactly
from transforms.shards.hashed_file import HashedFile, digests_of
from transforms.shards.staged_file import FileDigest

_HEAD = struct.Struct("<QI")


class Pbin(ExportFormat):
    """Ids between a header and a pickled index."""

    name = "pbin"

    def file_names(self, split: str, number: int) -> tuple[str, ...]:
        return (f"{split}/{number:06d}.pbin",)

    def create(self, paths: Sequence[str], shape: ShardShape) -> ExportWriter:
        return _Writer(paths[0], shape)

    def read(self, paths: Sequence[str], shape: ShardShape) -> Iterator[tuple[Ids, Lengths | None]]:
        if read_exactly(paths[0], 0, _HEAD.size) != _head(shape):
            raise MismatchError(f"not the header of {shape.tokens} ids of {shape.dtype.str}")
        lengths = _read_lengths(paths[0], shape)
        yield from read_documents(paths[0], shape.dtype, _HEAD.size, lengths)

    def ids_at(self, shape: ShardShape) -> int:
        return _HEAD.size


def _head(shape: ShardShape) -> bytes:
    return _HEAD.pack(shape.tokens * shape.dtype.itemsize, shape.dtype.itemsize)


class _OnlyData(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _read_lengths(path: str, shape: ShardShape) -> Lengths:
    itemsize = shape.dtype.itemsize
    with open(path, "rb") as file:
        file.seek(_HEAD.size + shape.tokens * itemsize)
        content = io.BytesIO(file.read())
    try:
        index: Any = _OnlyData(content).load()
        pairs = np.array(index, np.int64).reshape(-1, 2)
    except (pickle.UnpicklingError, ValueError, TypeError, EOFError, IndexError) as error:
        raise MismatchError(f"no index of documents after the ids: {error}") from error
    lengths = pairs[:, 1] // itemsize
    starts = (np.cumsum(lengths) - lengths) * itemsize
    if not np.array_equal(pairs, np.stack([starts, lengths * itemsize], 1)) or content.read(1):
        raise MismatchError("documents do not follow each other")
    return lengths


class _Writer(ExportWriter):
    def __init__(self, path: str, shape: ShardShape) -> None:
        self._itemsize = shape.dtype.itemsize
        self._file = HashedFile(path, _head(shape))
        self._lengths: list[Lengths] = []

    def append(self, ids: Ids, lengths: Lengths, rows: pa.RecordBatch) -> None:
        self._file.write(ids)
        self._lengths.append(lengths)

    def finish(self) -> None:
        sizes = np.concatenate([np.zeros(0, np.int64), *self._lengths]) * self._itemsize
        starts = np.cumsum(sizes) - sizes
        index = list(zip(starts.tolist(), sizes.tolist(), strict=True))
        self._file.write(pickle.dumps(index, protocol=4))
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def digests(self) -> Mapping[str, FileDigest]:
        return digests_of(self._file)
